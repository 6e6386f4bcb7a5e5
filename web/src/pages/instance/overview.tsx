import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { App, Button, Select } from 'antd';
import { useState, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { attachVolume, detachVolume, serverQuery, type Server } from '../../api/compute';
import { imagesQuery } from '../../api/image';
import { volumesQuery } from '../../api/volume';
import { gibibytes, memory, moment } from '../../format';
import { pairs } from '../../resource/pairs';
import { Ref, tags } from '../../resource/ref';
import { may } from '../../resource/resource';
import { useHere } from '../../shell/here';
import { addresses, allowed, toneOfVolume } from '../../state';
import { Copyable } from '../../ui/copy';
import { Panel } from '../../ui/page';
import { Scheduling } from './scheduling';
import { Problem } from '../../ui/problem';
import { Mark, volumeWord } from '../../ui/status';

export function Overview({ server }: { server: Server }) {
  const { t } = useTranslation();
  const { roles } = useHere();
  return (
    <div className="columns">
      {server.fault && (
        <section className="panel" style={{ gridColumn: '1 / -1', borderColor: 'var(--bad)' }} aria-label={t('instance.fault')}>
          <header>
            <h2 className="tone-bad">{t('instance.fault')}</h2>
          </header>
          <div className="body">
            <p style={{ margin: 0, overflowWrap: 'anywhere' }}>{server.fault.message}</p>
            {server.fault.details !== undefined && <pre className="secret" style={{ marginTop: 12 }}>{server.fault.details}</pre>}
            <p className="muted" style={{ marginBottom: 0 }}>
              {t('instance.faultHelp')}
            </p>
          </div>
        </section>
      )}
      <About server={server} />
      <div className="stack">
        <Addresses server={server} />
        <Volumes server={server} />
        {roles.includes('admin') && <Scheduling server={server} />}
      </div>
    </div>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </>
  );
}

function About({ server }: { server: Server }) {
  const { t, i18n } = useTranslation();
  const { data: images } = useQuery(imagesQuery);
  const language = i18n.language;
  const { original_name, vcpus, ram, disk } = server.flavor;
  const launched = server['OS-SRV-USG:launched_at'];
  const zone = server['OS-EXT-AZ:availability_zone'];
  const host = server['OS-EXT-SRV-ATTR:host'];
  const imageId = server.image === '' ? null : server.image.id;
  return (
    <Panel title={t('instance.about')}>
      <dl className="facts">
        <Fact name={t('field.id')}>
          <Copyable text={server.id} />
        </Fact>
        {server.description && <Fact name={t('field.description')}>{server.description}</Fact>}
        {server.locked === true && <Fact name={t('instance.locked')}>{server.locked_reason ?? t('yes')}</Fact>}
        {server['OS-EXT-SRV-ATTR:hostname'] && <Fact name={t('instance.hostname')}>{server['OS-EXT-SRV-ATTR:hostname']}</Fact>}
        {server.tags !== undefined && server.tags.length > 0 && <Fact name={t('image.tags')}>{tags(server.tags)}</Fact>}
        {Object.keys(server.metadata).length > 0 && <Fact name={t('field.metadata')}>{pairs(server.metadata)}</Fact>}
        {server.server_groups?.map((id) => (
          <Fact key={id} name={t('thing.server-groups.one')}>
            <Ref kind="server-groups" id={id} />
          </Fact>
        ))}
        <Fact name={t('field.flavor')}>
          {original_name}{' '}
          <span className="muted nums">
            ({t('flavor.long', { vcpus, ram: memory(ram, language), disk: gibibytes(disk, language) })})
          </span>
        </Fact>
        <Fact name={t('field.image')}>
          {imageId === null ? (
            <span className="muted">{t('instances.fromVolume')}</span>
          ) : (
            (images?.find((image) => image.id === imageId)?.name ?? <span className="mono">{imageId}</span>)
          )}
        </Fact>
        <Fact name={t('field.key')}>{server.key_name ?? <span className="muted">{t('none')}</span>}</Fact>
        <Fact name={t('field.groups')}>
          {server.security_groups === undefined || server.security_groups.length === 0 ? (
            <span className="muted">{t('none')}</span>
          ) : (
            <span className="row">
              {[...new Set(server.security_groups.map((g) => g.name))].map((name) => (
                <span key={name} className="tag">
                  {name}
                </span>
              ))}
            </span>
          )}
        </Fact>
        {zone && <Fact name={t('field.zone')}>{zone}</Fact>}
        {host && <Fact name={t('field.host')}>{host}</Fact>}
        <Fact name={t('field.created')}>{moment(server.created, language)}</Fact>
        {launched != null && <Fact name={t('field.launched')}>{moment(launched, language)}</Fact>}
        <Fact name={t('field.updated')}>{moment(server.updated, language)}</Fact>
      </dl>
    </Panel>
  );
}

function Addresses({ server }: { server: Server }) {
  const { t } = useTranslation();
  const list = addresses(server);
  return (
    <Panel title={t('field.addresses')}>
      {list.length === 0 ? (
        <p className="muted" style={{ margin: 0 }}>
          {t('instance.noAddresses')}
        </p>
      ) : (
        <dl className="facts">
          {list.map((address) => (
            <Fact key={address.addr} name={address.network}>
              <Copyable text={address.addr}>
                <strong>{address.addr}</strong>
              </Copyable>{' '}
              <span className="tag">{t(`addressKind.${address['OS-EXT-IPS:type']}`)}</span>
              {address['OS-EXT-IPS:type'] === 'fixed' && <div className="muted mono">{address['OS-EXT-IPS-MAC:mac_addr']}</div>}
            </Fact>
          ))}
        </dl>
      )}
    </Panel>
  );
}

function Volumes({ server }: { server: Server }) {
  const { t, i18n } = useTranslation();
  const { scope } = useHere();
  const changes = may(scope.roles, 'member') && (server.locked !== true || scope.operator) && allowed(server, 'volumes');
  const { modal } = App.useApp();
  const queryClient = useQueryClient();
  const volumes = useQuery(volumesQuery);
  const [wanted, setWanted] = useState<string | null>(null);
  const refresh = () =>
    Promise.all([
      queryClient.invalidateQueries({ queryKey: volumesQuery.queryKey }),
      queryClient.invalidateQueries({ queryKey: serverQuery(server.id).queryKey }),
    ]);
  const attach = useMutation({
    mutationFn: (volume: string) => attachVolume(server.id, volume),
    onSuccess: () => setWanted(null),
    onSettled: refresh,
  });
  const detach = useMutation({ mutationFn: (volume: string) => detachVolume(server.id, volume), onSettled: refresh });
  const ask = async (id: string, name: string) => {
    const sure = await modal.confirm({
      title: t('volume.detachTitle', { name }),
      content: t('volume.detachText'),
      okText: t('volume.detach'),
      cancelText: t('cancel'),
    });
    if (sure) {
      detach.mutate(id);
    }
  };
  const attached = server['os-extended-volumes:volumes_attached'] ?? [];
  const free = (volumes.data ?? []).filter((volume) => volume.status === 'available');
  const error = attach.error ?? detach.error;
  return (
    <Panel title={t('nav.volumes')}>
      <div className="stack">
        {attached.length === 0 && (
          <p className="muted" style={{ margin: 0 }}>
            {t('instance.noVolumes')}
          </p>
        )}
        {attached.map(({ id }) => {
          const volume = volumes.data?.find((v) => v.id === id);
          const device = volume?.attachments.find((a) => a.server_id === server.id)?.device;
          const name = volume?.name || id.slice(0, 8);
          return (
            <div key={id} className="row">
              <strong>{name}</strong>
              {volume && <span className="muted nums">{gibibytes(volume.size, i18n.language)}</span>}
              {device && <span className="mono muted">{device}</span>}
              {volume && volume.status !== 'in-use' && <Mark tone={toneOfVolume(volume.status)}>{volumeWord(t, volume.status)}</Mark>}
              <span style={{ flex: 1 }} />
              {changes && (
                <Button
                  size="small"
                  disabled={volume?.status !== 'in-use'}
                  aria-label={t('volume.detachLabel', { name })}
                  onClick={() => void ask(id, name)}
                >
                  {t('volume.detach')}
                </Button>
              )}
            </div>
          );
        })}
        {changes && <div className="row">
          <Select
            style={{ flex: 1, maxWidth: 340 }}
            aria-label={t('volume.choose')}
            placeholder={free.length === 0 ? t('volume.noFree') : t('volume.choose')}
            disabled={free.length === 0}
            value={wanted}
            onChange={setWanted}
            options={free.map((v) => ({ value: v.id, label: `${v.name || v.id.slice(0, 8)} · ${gibibytes(v.size, i18n.language)}` }))}
          />
          <Button disabled={wanted === null} loading={attach.isPending} onClick={() => wanted !== null && attach.mutate(wanted)}>
            {t('volume.attach')}
          </Button>
        </div>}
        {error && <Problem error={error} />}
      </div>
    </Panel>
  );
}
