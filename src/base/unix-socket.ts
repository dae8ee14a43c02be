/** Returns the path of `unix:///path`, `unix:/path` or `/path`; any other text as it is. */
export const withoutScheme = (address: string): string => address.replace(/^unix:(\/\/)?(?=\/)/, '');
