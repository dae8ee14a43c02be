import type { StoredStatus } from './stored.js';
import { UNKNOWN_EXIT_CODE, type Container, type ContainerState } from './records.js';

/** Returns the status that crid keeps in the container's record: times are nanoseconds since the epoch, 0 for never. */
export function toStoredStatus(container: Container): StoredStatus {
  const { state } = container;
  const common = {
    createdAt: container.createdAtNs,
    ...(container.resources ? { resources: container.resources } : {}),
  };
  switch (state.phase) {
    case 'created':
      return { ...common, pid: 0, startedAt: 0n, finishedAt: 0n, exitCode: 0, reason: '', message: '' };
    case 'running':
      return {
        ...common,
        pid: state.pid,
        startedAt: state.startedAtNs,
        finishedAt: 0n,
        exitCode: 0,
        reason: '',
        message: '',
      };
    case 'exited':
      return {
        ...common,
        pid: 0,
        startedAt: state.startedAtNs,
        finishedAt: state.finishedAtNs,
        exitCode: state.exitCode,
        reason: state.reason,
        message: state.message,
      };
  }
}

export function fromStoredStatus(status: StoredStatus): ContainerState {
  if (status.finishedAt !== 0n) {
    return {
      phase: 'exited',
      startedAtNs: status.startedAt,
      finishedAtNs: status.finishedAt,
      exitCode: status.exitCode,
      // containerd's own plugin leaves the reason empty until a client requests the status.
      reason: status.reason || defaultReason(status.exitCode),
      message: status.message,
    };
  }
  if (status.startedAt !== 0n) return { phase: 'running', pid: status.pid, startedAtNs: status.startedAt };
  return { phase: 'created' };
}

const defaultReason = (exitCode: number): string =>
  exitCode === 0 ? 'Completed' : exitCode === UNKNOWN_EXIT_CODE ? 'Unknown' : 'Error';
