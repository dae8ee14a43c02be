import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MACHINES, unsupportedMachine } from '../../../src/base/machine.js';
import { checkAddresses } from '../../../src/doctor/check-addresses.js';
import { checkProgram } from '../../../src/doctor/check-program.js';
import { checkRecords } from '../../../src/doctor/check-records.js';
import { runcProblem, runcVersion } from '../../../src/doctor/runc-version.js';

test('CVE-2025-31133, CVE-2025-52565, CVE-2025-52881: doctor warns of a runc without the fixes', () => {
  const features = (version: string): object => ({ annotations: { 'org.opencontainers.runc.version': version } });
  const without = ['1.0.3', '1.1.15', '1.2.0', '1.2.7', '1.3.0', '1.3.0-rc.2', '1.3.2', '1.4.0-rc.1', '1.4.0-rc.2'];
  const fixed = ['1.2.8', '1.2.9+ds1', '1.3.3', '1.3.6', '1.4.0-rc.3', '1.4.0', '1.4.1', '1.5.0-rc.1', '2.0.0', 'odd'];
  assert.deepEqual(
    [
      without.filter((version) => runcProblem(version) === undefined),
      fixed.filter((version) => runcProblem(version) !== undefined),
      runcVersion(features('1.3.2')),
      runcVersion({}),
      runcVersion(undefined),
    ],
    [[], [], '1.3.2', undefined, undefined],
  );
  assert.match(runcProblem('1.3.2') ?? '', /^runc 1\.3\.2: .*CVE-2025-31133.*1\.3\.3/);
});

test('doctor warns of a Node.js without fixes', () => {
  const levels = (version: string, date: string): string[] =>
    checkProgram(version, new Date(date)).map(({ level }) => level);
  assert.deepEqual(
    [
      levels('20.20.2', '2026-04-30T12:00:00Z'),
      levels('20.20.2', '2026-05-01T00:00:00Z'),
      levels('25.1.0', '2026-12-01'),
      levels('22.22.0', '2026-12-01'),
      levels('24.21.0', '2026-12-01'),
      levels('28.0.0', '2027-12-01'),
    ],
    [['ok'], ['warning'], ['warning'], ['ok'], ['ok'], ['ok']],
  );
});

test('doctor warns of metrics that are served on all addresses', () => {
  const messages = (address: string): string[] =>
    checkAddresses({ metrics_address: address }).map(({ level, message }) => `${level}: ${message}`);
  const quiet = ['', '127.0.0.1:9402', 'localhost:9402', '[::1]:9402', '192.0.2.7:9402'];
  const loud = [':9402', '0.0.0.0:9402', '[::]:9402'];
  assert.deepEqual(
    [quiet.flatMap(messages), loud.map((address) => messages(address)[0]?.split(' listens')[0])],
    [[], loud.map((address) => `warning: crid.metrics_address "${address}"`)],
  );
});

test('a machine that crid does not run on is named before anything is loaded', () => {
  assert.deepEqual(
    [
      MACHINES.map((machine) => unsupportedMachine('linux', machine, 'LE')),
      unsupportedMachine('linux', 's390x', 'BE'),
      unsupportedMachine('linux', 'ppc64', 'BE')?.startsWith('crid does not run on ppc64 (big-endian): '),
      unsupportedMachine('linux', 'mips64el', 'LE')?.startsWith('crid does not run on mips64el: '),
      unsupportedMachine('darwin', 'arm64', 'LE'),
    ],
    [
      MACHINES.map(() => undefined),
      'crid does not run on s390x (big-endian): it runs on x64, arm64, arm, ppc64, riscv64, loong64, all little-endian',
      true,
      true,
      'crid runs on Linux only, not on darwin',
    ],
  );
});

test('doctor names the records that crid cannot read, ten at most', () => {
  const infoOf = (records: object[]): Record<string, string> => ({ unreadableRecords: JSON.stringify({ records }) });
  const one = { id: 'abcdef', name: '', error: 'containers.list: too large' };
  const many = Array.from({ length: 12 }, (_, index) => ({ ...one, id: `id${index}`, name: 'web_default_1_0' }));
  const lines = (info: Record<string, string>): string[] =>
    checkRecords(info).map(({ level, subject, message }) => `${level} ${subject} ${message}`);
  const advice =
    'cannot be read and is left alone: containers.list: too large; remove it with ctr when nothing needs it';
  assert.deepEqual(
    [lines({}), lines(infoOf([])), lines(infoOf([one, { ...one, id: '' }])), lines(infoOf(many)).slice(9)],
    [
      [],
      ['ok records all can be read'],
      [`warning records "abcdef" ${advice}`, `warning records a list of records ${advice}`],
      [`warning records "id9" (web_default_1_0) ${advice}`, 'warning records 2 more cannot be read: see crictl info'],
    ],
  );
});
