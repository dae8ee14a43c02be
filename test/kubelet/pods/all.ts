import type { KubeletSuite } from '../suite.js';
import { apiTests } from './api.js';
import { endTests } from './ends.js';
import { environmentTests } from './environment.js';
import { hookTests } from './hooks.js';
import { imageTests } from './images.js';
import { initTests } from './init.js';
import { isolationTests } from './isolation.js';
import { LOG_ROTATION, logTests } from './logs.js';
import { probeTests } from './probes.js';
import { OFTEN_VOLUMES, statsTests } from './stats.js';

/** The kubelet configuration that `allTests` needs. */
export const CONFIG = { ...LOG_ROTATION, ...OFTEN_VOLUMES };

/** All tests of pods. They can run at once, because each uses its own pod. */
export function allTests(suite: KubeletSuite): void {
  initTests(suite);
  probeTests(suite);
  hookTests(suite);
  endTests(suite);
  environmentTests(suite);
  isolationTests(suite);
  imageTests(suite);
  logTests(suite);
  apiTests(suite);
  statsTests(suite);
}
