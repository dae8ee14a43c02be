/**
 * Returns the environment of every plugin, without its CNI_ variables. containerd gives plugins its whole environment,
 * and some are configured that way (KUBECONFIG, proxies), so crid passes on its own, without what is private to crid:
 * credentials, the supervisor's sockets, and settings of crid's runtime.
 */
export function pluginEnvironment(own: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(own)) {
    if (value !== undefined && !PRIVATE.test(name)) env[name] = value;
  }
  // Plugins call iptables, nft and tc by name; without PATH they fail in a way that is hard to diagnose.
  env.PATH ??= '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
  return env;
}

const PRIVATE =
  /^(CNI_|CRID_|OTEL_|NODE_(OPTIONS|PATH|DEBUG|V8_COVERAGE|EXTRA_CA_CERTS)$|NPM_|LISTEN_(FDS|PID|FDNAMES)$|NOTIFY_SOCKET$|WATCHDOG_|CREDENTIALS_DIRECTORY$)|(TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|PRIVATE|API_?KEY|ACCESS_?KEY|AUTH)/i;
