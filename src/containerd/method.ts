import { isLasting, isRead, isWait, methodName } from './method-names.js';

/** The codec of a message in the generated code. */
interface MessageType {
  encode(message: never): { finish(): Uint8Array };
  decode(bytes: Uint8Array): unknown;
  fromPartial(message: never): unknown;
}

interface WireMethod {
  readonly name: string;
  readonly requestType: MessageType;
  readonly responseType: MessageType;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
}

/** A service in the generated code. */
export interface WireService {
  readonly fullName: string;
  readonly methods: Readonly<Record<string, WireMethod>>;
}

/** A method of one of containerd's services, with what every call of it needs. */
export interface Method {
  readonly path: string;
  /** The name of the port's method: `tasks.start`. */
  readonly name: string;
  readonly isRead: boolean;
  readonly isWait: boolean;
  readonly isLasting: boolean;
  /** Whether containerd forwards the call to the shim of a task or a sandbox. */
  readonly asksShim: boolean;
  readonly hasRequestStream: boolean;
  encode(request: unknown): Uint8Array;
  decode(bytes: Uint8Array): unknown;
}

export function methodOf(
  service: string,
  { name: wireName, requestType, responseType, requestStream }: WireMethod,
): Method {
  const path = `/${service}/${wireName}`;
  const name = methodName(path);
  return {
    path,
    name,
    isRead: isRead(name),
    isWait: isWait(name),
    isLasting: isLasting(name),
    asksShim: /^(tasks|controller)\./.test(name),
    hasRequestStream: requestStream,
    encode: (request) => requestType.encode(requestType.fromPartial(request as never) as never).finish(),
    decode: (bytes) => responseType.decode(bytes),
  };
}
