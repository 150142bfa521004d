//! The certificates of the control plane, as files in one directory.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// Writes `ca`, `tls` (every server), `admin` (of `system:masters`) and `front-proxy` (the API server as a client of KEDA's adapter),
/// each as `.crt` and, but for `ca`, as `.key`.
pub fn write(directory: &Path, server_names: &[&str]) {
    fs::create_dir_all(directory).unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "test-kubernetes");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    fs::write(directory.join("ca.crt"), authority.pem()).unwrap();
    for (name, organization, names) in
        [("tls", None, server_names), ("admin", Some("system:masters"), &[]), ("front-proxy", None, &[])]
    {
        let mut params = CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        if let Some(organization) = organization {
            params.distinguished_name.push(DnType::OrganizationName, organization);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        fs::write(directory.join(format!("{name}.crt")), certificate.pem()).unwrap();
        fs::write(directory.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}
