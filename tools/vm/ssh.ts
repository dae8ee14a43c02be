import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { killOnExit } from '../stack/disposers.js';

/**
 * How to reach a guest: a port of the host's loopback, the key, and the socket of a connection that all commands share.
 */
export interface SshTarget {
  readonly dir: string;
  readonly port: number;
  readonly key: string;
}

export interface GuestRun {
  /** The guest ends the command after this time. */
  readonly timeoutMs: number;
  /** Receives the output of both streams as it arrives. */
  readonly write?: (text: string) => void;
}

export interface GuestAnswer {
  /** 124 after a timeout. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const KILL_AFTER_S = 10;
/** How long to wait beyond the guest's own limit. After that, the guest or the connection hangs. */
const GRACE_MS = 60_000;
const OUTPUT_LIMIT_CHARS = 4 * 1024 * 1024;

const socketOf = ({ dir }: SshTarget): string => join(dir, 'ssh.sock');

export const sshOptions = (target: SshTarget): string[] => [
  ...['-F', '/dev/null', '-i', target.key, '-p', String(target.port), '-S', socketOf(target)],
  ...['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR', 'BatchMode=yes'].flatMap(option),
  // A guest that shares its CPU may reply late.
  ...['ConnectTimeout=20', 'ServerAliveInterval=15', 'ServerAliveCountMax=20'].flatMap(option),
];

/** Arguments of the connection that the others share. */
export const sshMaster = (target: SshTarget): string[] => [...sshOptions(target), '-M', '-N', 'root@127.0.0.1'];

/** Runs a shell script as root of the guest. */
export async function runInGuest(target: SshTarget, script: string, options: GuestRun): Promise<GuestAnswer> {
  const { timeoutMs, write } = options;
  // `timeout` ends what a broken connection would leave running, with its process group.
  const limited = `exec timeout --kill-after=${KILL_AFTER_S} ${Math.ceil(timeoutMs / 1000)} sh -c ${quote(script)}`;
  const child = spawn('ssh', [...sshOptions(target), 'root@127.0.0.1', limited], {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    timeout: timeoutMs + GRACE_MS,
    killSignal: 'SIGKILL',
  });
  const hasEnded = killOnExit(child.pid ?? 0);
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      said[name] = (said[name] + text).slice(-OUTPUT_LIMIT_CHARS);
      write?.(text);
    });
  }
  const [code] = (await once(child, 'close').finally(hasEnded)) as [number | null];
  return { code: code ?? 255, ...said };
}

/** Quotes a text as one word of a POSIX shell. */
export const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

const option = (text: string): string[] => ['-o', text];
