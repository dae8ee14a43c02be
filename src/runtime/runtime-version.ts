import type { VersionResponse } from '../../generated/runtime/v1/api.js';
import { VERSION } from '../version.js';

/** CRI Version: `version` is that of the kubelet's runtime API, which has always been 0.1.0. */
export const version = (): VersionResponse => ({
  version: '0.1.0',
  runtime_name: 'crid',
  runtime_version: VERSION,
  runtime_api_version: 'v1',
});
