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

/** What the kubelet has to be told for `allTests`. */
export const CONFIG = { ...LOG_ROTATION, ...OFTEN_VOLUMES };

/** Every test of pods; they can run at once, each looks at its own. */
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
