import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { Form, InputNumber, Select, Skeleton } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { canReach, type Question } from '../kinds/network/reach';
import { portName } from '../kinds/network/ports';
import { ruleText } from '../kinds/network/rules';
import { useWorld } from '../kinds/network/world';
import { serversQuery } from '../api/compute';
import { PageHead, Panel } from '../ui/page';
import { Mark } from '../ui/status';

/** Can A reach B? The cloud's own rules, read in the order in which a packet meets them. */
export default function Reach() {
  const { t } = useTranslation();
  const world = useWorld();
  const { data: servers = [] } = useQuery(serversQuery);
  const [from, setFrom] = useState<string | null>(null);
  const [to, setTo] = useState<string | null>(null);
  const [protocol, setProtocol] = useState<Question['protocol']>('tcp');
  const [port, setPort] = useState(22);
  const ends = world?.ports.filter((each) => each.fixed_ips.length > 0 && !each.device_owner.startsWith('network:')) ?? [];
  const options = ends.map((each) => ({
    value: each.id,
    label: [servers.find((server) => server.id === each.device_id)?.name ?? '', portName(each), each.fixed_ips.map((ip) => ip.ip_address).join(', ')]
      .filter((part, i, all) => part !== '' && all.indexOf(part) === i)
      .join(' · '),
  }));
  const [a, b] = [from, to].map((id) => ends.find((each) => each.id === id));
  const found = world !== null && a !== undefined && b !== undefined && a !== b ? canReach(world, { from: a, to: b, protocol, port }) : null;
  return (
    <>
      <PageHead title={t('nav.reach')} />
      <p className="muted">{t('reach.help')}</p>
      <Panel title={t('reach.question')}>
        {world === null ? (
          <Skeleton active title={false} />
        ) : (
          <Form layout="vertical" component={false}>
            <div className="columns">
              <Form.Item label={t('reach.a')} htmlFor="reach-from">
                <Select id="reach-from" value={from} onChange={setFrom} options={options} showSearch={{ optionFilterProp: 'label' }} notFoundContent={<span className="muted">{t('reach.noPorts')}</span>} />
              </Form.Item>
              <Form.Item label={t('reach.b')} htmlFor="reach-to">
                <Select id="reach-to" value={to} onChange={setTo} options={options} showSearch={{ optionFilterProp: 'label' }} notFoundContent={<span className="muted">{t('reach.noPorts')}</span>} />
              </Form.Item>
            </div>
            <div className="row">
              <Form.Item label={t('group.protocol')} htmlFor="reach-protocol">
                <Select id="reach-protocol" style={{ width: 120 }} value={protocol} onChange={setProtocol} options={(['tcp', 'udp', 'icmp'] as const).map((value) => ({ value, label: value.toUpperCase() }))} />
              </Form.Item>
              {protocol !== 'icmp' && (
                <Form.Item label={t('reach.port')} htmlFor="reach-port">
                  <InputNumber id="reach-port" min={1} max={65535} precision={0} value={port} onChange={(n) => setPort(n ?? 1)} />
                </Form.Item>
              )}
            </div>
          </Form>
        )}
      </Panel>
      <div aria-live="polite" style={{ marginTop: 16 }}>
        {found && (
          <Panel title={t(found.ok ? 'reach.yes' : 'reach.no')}>
            <ol className="hops" data-reach={found.ok ? 'yes' : 'no'}>
              {found.hops.map((hop, i) => (
                <li key={i}>
                  <Mark tone={hop.ok ? 'ok' : 'bad'}>
                    <span className="wrap">{t(hop.word as 'reach.from', hop.with as { ip: string })}</span>
                  </Mark>
                  {hop.rule && (
                    <div className="small muted">
                      <Link to="/$kind/$id" params={{ kind: 'security-groups', id: hop.rule.security_group_id }}>
                        {ruleText(hop.rule)} {hop.rule.remote_ip_prefix ?? world?.groups.find((group) => group.id === hop.rule?.remote_group_id)?.name}
                      </Link>
                    </div>
                  )}
                </li>
              ))}
            </ol>
          </Panel>
        )}
      </div>
    </>
  );
}
