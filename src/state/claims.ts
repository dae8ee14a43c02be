/** A record in containerd that crid cannot read. */
export interface Claim {
  /** The id, or a prefix of it when containerd's error gives no more. */
  readonly id: string;
  /** "" when the name is not known. */
  readonly name: string;
  readonly error: string;
}

/**
 * The unreadable records. crid keeps their directories, leases, snapshots and mounts, and their names stay reserved.
 */
export interface Claims {
  add(claim: Claim): void;
  hasId(id: string): boolean;
  /** Returns the claim with this name. */
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
