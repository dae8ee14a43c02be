import { testContainers } from './containers.js';
import { testEvents } from './events.js';
import { testImages } from './images.js';
import { testLeases } from './leases.js';
import { testSandboxes } from './sandboxes.js';
import { testSnapshots } from './snapshots.js';
import type { Subject } from './subject.js';
import { testTasks } from './tasks.js';

/**
 * Registers the tests of what crid expects of containerd. They run on a real containerd and on the in-memory one of the
 * unit tests. Where the two differ, the real one is right.
 */
export function testContract(subject: () => Subject): void {
  testContainers(subject);
  testSandboxes(subject);
  testSnapshots(subject);
  testLeases(subject);
  testImages(subject);
  testTasks(subject);
  testEvents(subject);
}
