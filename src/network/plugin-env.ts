/**
 * The environment that every plugin gets, beside its CNI_ variables. Plugins are node programs that containerd runs
 * with its own whole environment, and some are configured that way (KUBECONFIG, proxies), so crid's is passed on,
 * except for what is nobody else's: credentials, its supervisor's sockets, and settings of its own runtime.
 */
export function pluginEnvironment(own: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(own)) {
    if (value !== undefined && !PRIVATE.test(name)) env[name] = value;
  }
  // Plugins call iptables, nft and tc by name; a bare environment would break them in a way that is hard to see.
  env.PATH ??= '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
  return env;
}

const PRIVATE =
  /^(CNI_|CRID_|OTEL_|NODE_(OPTIONS|PATH|DEBUG|V8_COVERAGE|EXTRA_CA_CERTS)$|NPM_|LISTEN_(FDS|PID|FDNAMES)$|NOTIFY_SOCKET$|WATCHDOG_|CREDENTIALS_DIRECTORY$)|(TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|PRIVATE|API_?KEY|ACCESS_?KEY|AUTH)/i;
