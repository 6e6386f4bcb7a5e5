import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { Skeleton } from 'antd';
import { useEffect, useRef, useState, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { serversQuery } from '../api/compute';
import { layout, size, type Bar, type Chip, type Lane } from '../kinds/network/layout';
import { useWorld } from '../kinds/network/world';
import { AllProjects } from '../resource/list-page';
import { useHere } from '../shell/here';
import { Empty } from '../ui/empty';
import { ClusterOutlined } from '../ui/icons';
import { PageHead } from '../ui/page';

/** The project's network as a picture that lives: it follows what is made and deleted. */
export default function Topology() {
  const { t } = useTranslation();
  const { scope } = useHere();
  const world = useWorld();
  const { data: servers } = useQuery(serversQuery);
  const [width, box] = useWidth();
  return (
    <>
      <PageHead title={t('nav.topology')}>{scope.operator && <AllProjects />}</PageHead>
      <p className="muted">{t('topology.help')}</p>
      <div ref={box} className="panel topology">
        {world === null || servers === undefined ? (
          <Skeleton active style={{ padding: 16 }} />
        ) : world.networks.length === 0 ? (
          <Empty icon={<ClusterOutlined />} title={t('resource.empty', { what: t('thing.networks.many') })} text={t('thing.networks.empty')} />
        ) : (
          width > 0 && <Picture {...layout(world, servers, width)} width={width} />
        )}
      </div>
    </>
  );
}

function useWidth() {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const element = box.current;
    if (element === null) {
      return;
    }
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return [width, box] as const;
}

function Picture({ bars, chips, lanes, left, height, width }: ReturnType<typeof layout> & { width: number }) {
  const { t } = useTranslation();
  return (
    <svg width={width} height={height} viewBox={`0 0 ${width} ${height}`} role="group" aria-label={t('nav.topology')}>
      {chips.map((chip) => (
        <line key={chip.port.id} x1={chip.x + 14} x2={chip.x + 14} y1={chip.bar} y2={chip.y} className="wire" />
      ))}
      {bars.map((bar) => (
        <NetworkBar key={bar.id} bar={bar} left={left} width={width} />
      ))}
      {lanes.map((lane) => (
        <RouterLane key={lane.id} lane={lane} left={left} />
      ))}
      {chips.map((chip) => (
        <MachineChip key={chip.port.id} chip={chip} />
      ))}
    </svg>
  );
}

function NetworkBar({ bar, left, width }: { bar: Bar; left: number; width: number }) {
  const { t } = useTranslation();
  return (
    <Node to={`/networks/${bar.id}`} label={t('topology.network', { name: bar.name, subnets: bar.subnets || t('none') })}>
      <rect x={left - size.gap / 2} y={bar.y} width={width - left} height={size.bar} rx={4} className={bar.external ? 'bar external' : 'bar'} />
      <text x={left + 4} y={bar.y + 15} className="on-bar">
        {cut(bar.subnets === '' ? bar.name : `${bar.name} · ${bar.subnets}`, width - left)}
      </text>
    </Node>
  );
}

function RouterLane({ lane, left }: { lane: Lane; left: number }) {
  const { t } = useTranslation();
  const middle = lane.x + 15;
  const names = lane.meets.map((meet) => meet.address).filter((address) => address !== '').join(', ');
  return (
    <>
      {lane.meets.length > 0 && <line x1={middle} x2={middle} y1={lane.from} y2={lane.to} className="wire" />}
      {lane.meets.map((meet) => (
        <line key={meet.y} x1={middle} x2={left - size.gap / 2} y1={meet.y} y2={meet.y} className="wire" />
      ))}
      <Node to={`/routers/${lane.id}`} label={t('topology.router', { name: lane.name, addresses: names || t('none') })}>
        <rect x={lane.x} y={lane.y} width={size.lane - size.gap} height={size.router} rx={17} className={lane.up ? 'node' : 'node down'} />
        <text x={lane.x + 14} y={lane.y + 21}>
          {cut(lane.name, size.lane - size.gap - 20)}
        </text>
      </Node>
    </>
  );
}

function MachineChip({ chip }: { chip: Chip }) {
  const { t } = useTranslation();
  const to = chip.port.device_owner.startsWith('compute:') ? `/instances/${chip.port.device_id}/overview` : `/ports/${chip.port.id}`;
  return (
    <Node to={to} label={t(chip.up ? 'topology.machine' : 'topology.machineDown', { name: chip.name, address: chip.address })}>
      <rect x={chip.x} y={chip.y} width={size.chip} height={size.chipHeight} rx={6} className={chip.up ? 'node' : 'node down'} />
      <text x={chip.x + 10} y={chip.y + 16}>
        {cut(chip.name, size.chip - 20)}
      </text>
      <text x={chip.x + 10} y={chip.y + 32} className="fine">
        {chip.address}
      </text>
    </Node>
  );
}

/** What leads to its own page, by pointer and by keyboard. */
function Node({ to, label, children }: { to: string; label: string; children: ReactNode }) {
  return (
    <Link to={to as '/'} className="topology-node">
      <title>{label}</title>
      {children}
    </Link>
  );
}

/** A text that fits, roughly: seven pixels a letter, twice that for wide ones. */
function cut(text: string, width: number): string {
  let used = 0;
  for (const [i, letter] of [...text].entries()) {
    used += letter.charCodeAt(0) > 0x2e80 ? 14 : 7.2;
    if (used > width) {
      return `${[...text].slice(0, Math.max(1, i - 1)).join('')}…`;
    }
  }
  return text;
}
