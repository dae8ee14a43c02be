/** The release of NRI whose messages crid sends. */
export const NRI_VERSION = 'v0.12.5';
/** The connections of a trunk, by the service that is called on them. */
export const [PLUGIN_SERVICE, RUNTIME_SERVICE] = [1, 2] as const;
/** The bounds of NRI for the name and the index of a plugin. */
export const PLUGIN_NAME = /^[A-Za-z0-9_.+-]{1,128}$/;
export const PLUGIN_INDEX = /^[0-9]{2}$/;
