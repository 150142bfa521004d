// Unpacks the browser, its fonts, and the libraries that a slim system lacks, into $TMPDIR.
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import chromium, { inflate } from '@sparticuz/chromium';

const bin = join(dirname(createRequire(import.meta.url).resolve('@sparticuz/chromium')), '..', '..', 'bin');
await Promise.all([chromium.executablePath(), inflate(join(bin, 'al2023.tar.br'))]);
// its own fonts only, so that a page looks the same everywhere
const fonts = join(tmpdir(), 'fonts');
writeFileSync(
  join(fonts, 'fonts.conf'),
  `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>${join(fonts, 'fonts')}</dir>
  <cachedir>${join(fonts, 'cache')}</cachedir>
</fontconfig>
`,
);
