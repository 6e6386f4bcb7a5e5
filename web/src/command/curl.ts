import { headersOf, prefix, type Call } from '../api/client';

/** What stands for a password that was typed: commands are copied, kept and shown to others. */
export const passwordVariable = '$PASSWORD';

/** A word as a shell takes it. */
export const quoted = (text: string) => (text === passwordVariable ? `"${text}"` : /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** Requests as curl makes them, from whatever address the page has. */
export function curl(calls: Call[], origin = location.origin): string {
  const lines = calls.map((call) => {
    const words = ['curl', '-X', call.method, quoted(origin + prefix[call.service] + call.path), '-H', '"X-Auth-Token: $TOKEN"'];
    for (const [name, value] of Object.entries(headersOf(call))) {
      words.push('-H', quoted(`${name}: ${value}`));
    }
    if (call.body !== undefined) {
      words.push('-d', quoted(JSON.stringify(call.body)).replaceAll(`"${passwordVariable}"`, `"'"${passwordVariable}"'"`));
    }
    return words.join(' ');
  });
  const asks = lines.some((line) => line.includes(passwordVariable)) ? ['read -rs PASSWORD'] : [];
  return ['TOKEN=$(openstack token issue -f value -c id)', ...asks, ...lines].join('\n');
}
