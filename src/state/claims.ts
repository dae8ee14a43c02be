/** A record in containerd that crid cannot read. */
export interface Claim {
  /** Its id, or the beginning of it where no more is known. */
  readonly id: string;
  /** "" when it is not known. */
  readonly name: string;
  readonly error: string;
}

/**
 * What belongs to records that crid cannot read: their directories, leases, snapshots and mounts are not taken away, and
 * their names stay taken.
 */
export interface Claims {
  add(claim: Claim): void;
  hasId(id: string): boolean;
  /** The claim that has the name. */
  byName(name: string): Claim | undefined;
  list(): readonly Claim[];
}

export function createClaims(): Claims {
  const claims: Claim[] = [];
  return {
    add: (claim) => void claims.push(claim),
    hasId: (id) => claims.some((claim) => id.startsWith(claim.id)),
    byName: (name) => claims.find((claim) => claim.name !== '' && claim.name === name),
    list: () => claims,
  };
}
