import { AuthRequest, AuthResponse, AuthType } from '../../generated/containerd/types/transfer/registry.js';
import { CriError } from '../base/errors.js';
import type { Logger } from '../base/log.js';
import { anyOf } from './any.js';
import type { PullRequest, RegistryAuth } from './containerd.js';
import type { WireStream } from './wire-stream.js';

/** Responds to containerd's requests for credentials of a host until the stream ends, and adds them to `secrets`. */
export async function answerAuth(
  stream: WireStream,
  credentials: NonNullable<PullRequest['credentials']>,
  secrets: Set<string>,
  log: Logger,
): Promise<void> {
  for await (const question of stream.messages) {
    if (question.type_url !== 'containerd.types.transfer.AuthRequest') continue;
    const { host } = AuthRequest.decode(question.value);
    let auth: RegistryAuth | undefined;
    try {
      auth = credentials(host);
    } catch (thrown) {
      log.error({ err: CriError.from(thrown).message, host }, 'no credentials for the registry');
    }
    for (const secret of secretsOf(auth)) secrets.add(secret);
    // containerd waits for each response, so always send one.
    const answer = AuthResponse.fromPartial(responseOf(auth));
    stream.send(anyOf('containerd.types.transfer.AuthResponse', AuthResponse.encode(answer).finish()));
  }
}

/** An identity token is sent as a refresh token, which containerd exchanges at the registry's token server. */
function responseOf(auth: RegistryAuth | undefined): Partial<AuthResponse> {
  if (auth?.identityToken) return { authType: AuthType.REFRESH, secret: auth.identityToken };
  if (auth?.username) return { authType: AuthType.CREDENTIALS, username: auth.username, secret: auth.password ?? '' };
  return { authType: AuthType.NONE };
}

/** Every form in which a secret of `auth` may appear in a message. */
function secretsOf(auth: RegistryAuth | undefined): string[] {
  const plain = [auth?.password, auth?.identityToken].filter((secret) => secret !== undefined);
  const basic = Buffer.from(`${auth?.username ?? ''}:${auth?.password ?? ''}`).toString('base64');
  return [...plain, ...plain.map(encodeURIComponent), ...(auth?.password ? [basic] : [])];
}
