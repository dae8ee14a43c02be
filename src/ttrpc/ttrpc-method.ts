interface Codec<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
}

/** A unary method as a client calls it. */
export interface Method<I, O> {
  /** The full name of the service, such as `nri.pkg.api.v1alpha1.Plugin`. */
  readonly service: string;
  readonly name: string;
  readonly requestType: Codec<I>;
  readonly responseType: Codec<O>;
}

/** A service as ts-proto describes it. */
export interface Service {
  readonly fullName: string;
  // The types of the messages differ between the methods.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly methods: Readonly<Record<string, Omit<Method<any, any>, 'service'>>>;
}

type Message<C> = C extends Codec<infer T> ? T : never;

export type RequestOf<S extends Service, M extends keyof S['methods']> = Message<S['methods'][M]['requestType']>;
export type ResponseOf<S extends Service, M extends keyof S['methods']> = Message<S['methods'][M]['responseType']>;

/** Returns a method of a service, with the types of its messages. */
export function methodOf<S extends Service, M extends keyof S['methods'] & string>(
  service: S,
  name: M,
): Method<RequestOf<S, M>, ResponseOf<S, M>> {
  return { service: service.fullName, ...service.methods[name]! };
}
