// pod-security reads manifests from stdin and refuses every pod that the Pod Security standard `restricted` forbids. The judge is the
// library of Kubernetes' own admission.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	documents "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

// object is a Pod, or has a template of pods.
type object struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
}

type pod struct {
	Spec corev1.PodSpec `json:"spec"`
}

type workload struct {
	Spec struct {
		Template corev1.PodTemplateSpec `json:"template"`
	} `json:"spec"`
}

func main() {
	if err := run(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "pod-security:", err)
		os.Exit(1)
	}
}

func run(input io.Reader) error {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return err
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	reader := documents.NewYAMLReader(bufio.NewReader(input))
	for judged := 0; ; {
		text, err := reader.Read()
		if errors.Is(err, io.EOF) && judged > 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the manifest after pod %d: %w", judged, err)
		}
		name, template, err := podOf(text)
		if err != nil {
			return err
		}
		if template == nil {
			continue
		}
		judged++
		result := policy.AggregateCheckResults(evaluator.EvaluatePod(restricted, &template.ObjectMeta, &template.Spec))
		if !result.Allowed {
			return fmt.Errorf("%s: %s: %s", name, result.ForbiddenReason(), result.ForbiddenDetail())
		}
	}
}

// podOf returns what the pods of a manifest are like; nil where it has none.
func podOf(text []byte) (string, *corev1.PodTemplateSpec, error) {
	var about object
	if err := yaml.Unmarshal(text, &about); err != nil {
		return "", nil, err
	}
	name := about.Kind + " " + about.Name
	switch about.Kind {
	case "Pod":
		var one pod
		err := yaml.Unmarshal(text, &one)
		return name, &corev1.PodTemplateSpec{ObjectMeta: about.ObjectMeta, Spec: one.Spec}, err
	case "Deployment", "Job", "StatefulSet", "DaemonSet":
		var of workload
		err := yaml.Unmarshal(text, &of)
		return name, &of.Spec.Template, err
	default:
		return name, nil, nil
	}
}
