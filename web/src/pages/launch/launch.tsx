import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { App, Button, Collapse, Form, Input, InputNumber, Select, Spin } from 'antd';
import { useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import {
  computeLimitsQuery,
  newServer,
  flavorsQuery,
  keyPairsQuery,
  serversQuery,
  type ComputeLimits,
  type Flavor,
  type KeyPair,
  type NewServer,
} from '../../api/compute';
import { imagesQuery, type Image } from '../../api/image';
import { networksQuery, securityGroupsQuery, subnetsQuery, type Network, type SecurityGroup } from '../../api/network';
import { perform } from '../../api/client';
import { zoneChoices } from '../../kinds/compute/choices';
import { AsCommand } from '../../resource/as-command';
import { useRows } from '../../resource/query';
import { may } from '../../resource/resource';
import { bytes, gibibytes, memory } from '../../format';
import { useHere } from '../../shell/here';
import { base64 } from '../../sshkey';
import { Empty } from '../../ui/empty';
import { DesktopOutlined } from '../../ui/icons';
import { PageHead, Panel } from '../../ui/page';
import { Problem } from '../../ui/problem';
import { Usage } from '../../ui/usage';
import { Cards, CardsMany } from './choice';
import { firstFlavor, firstNetwork, misfit, pluggable, usable } from './defaults';
import { LiveFit } from './fit';
import { KeyPairDialog } from './keypair';

/** Launches instances on one page. The form is drawn when all that it offers is there, so that its proposals stand from the start. */
export default function Launch() {
  const { t } = useTranslation();
  const { project, roles } = useHere();
  const images = useQuery(imagesQuery);
  const flavors = useQuery(flavorsQuery);
  const networks = useQuery(networksQuery);
  const keys = useQuery(keyPairsQuery);
  const groups = useQuery(securityGroupsQuery(project.id));
  const limits = useQuery(computeLimitsQuery);
  useQuery(subnetsQuery);
  if (!may(roles, 'member')) {
    return (
      <>
        <PageHead title={t('launch.title')} />
        <Empty icon={<DesktopOutlined />} title={t('launch.readOnly')} text={t('problem.forbidden')} />
      </>
    );
  }
  const failed = [images, flavors, networks, keys, groups].find((q) => q.error && q.data === undefined);
  return (
    <>
      <PageHead title={t('launch.title')} />
      {failed?.error ? (
        <Problem error={failed.error} retry={() => void failed.refetch()} />
      ) : images.data && flavors.data && networks.data && keys.data && groups.data && !limits.isPending ? (
        <LaunchForm
          images={images.data.filter(usable)}
          flavors={flavors.data}
          networks={pluggable(networks.data, project.id)}
          keys={keys.data}
          groups={groups.data}
          limits={limits.data}
        />
      ) : (
        <Spin />
      )}
    </>
  );
}

interface Offer {
  images: Image[];
  flavors: Flavor[];
  networks: Network[];
  keys: KeyPair[];
  groups: SecurityGroup[];
  limits: ComputeLimits | undefined;
}

interface Fields {
  name: string;
  count: number;
  image: string;
  flavor: string;
  networks: string[];
  key?: string;
  groups: string[];
  zone?: string;
  group?: string;
  userData: string;
}

const keyMemory = 'nacre.key';

function LaunchForm({ images, flavors, networks, keys, groups, limits }: Offer) {
  const { t, i18n } = useTranslation();
  const { project } = useHere();
  const { message } = App.useApp();
  const navigate = useNavigate();
  const queryClient = useQueryClient();
  const { data: subnets = [] } = useQuery(subnetsQuery);
  const [form] = Form.useForm<Fields>();
  const [dialog, setDialog] = useState<'create' | 'import' | null>(null);
  const problem = useRef<HTMLDivElement>(null);

  const lastKey = localStorage.getItem(keyMemory);
  const [initial] = useState<Fields>(() => ({
    name: '',
    count: 1,
    image: images[0]?.id ?? '',
    flavor: firstFlavor(flavors, images[0])?.id ?? '',
    networks: [firstNetwork(networks, project.id)?.id ?? []].flat(),
    groups: groups.some((g) => g.name === 'default') ? ['default'] : [],
    userData: '',
    ...(() => {
      const key = keys.find((k) => k.name === lastKey) ?? keys[0];
      return key && { key: key.name };
    })(),
  }));
  const typed = Form.useWatch([], form) as Partial<Fields> | undefined;
  const imageId = Form.useWatch('image', form) ?? initial.image;
  const flavorId = Form.useWatch('flavor', form) ?? initial.flavor;
  const image = images.find((i) => i.id === imageId);
  const flavor = flavors.find((f) => f.id === flavorId);
  const count = Form.useWatch('count', form) ?? 1;
  const { data: zones = [] } = useQuery({ queryKey: ['choices', 'zones'], queryFn: zoneChoices });
  const serverGroups = useRows<{ id: string; name: string }>('server-groups') ?? [];

  const launch = useMutation({
    mutationFn: (fields: Fields) => perform(newServer(body(fields), fields.group)),
    onSuccess: async (_, fields) => {
      localStorage.setItem(keyMemory, fields.key ?? '');
      await Promise.all([
        queryClient.invalidateQueries({ queryKey: serversQuery.queryKey }),
        queryClient.invalidateQueries({ queryKey: ['limits'] }),
      ]);
      message.success(t(fields.count === 1 ? 'launch.accepted' : 'launch.acceptedMany', { count: fields.count, name: fields.name }));
      await navigate({ to: '/instances' });
    },
    onError: () => requestAnimationFrame(() => problem.current?.focus()),
  });

  const reasons = { ram: t('launch.needsRam', { ram: memory(image?.min_ram ?? 0, i18n.language) }), disk: t('launch.needsDisk') };
  return (
    <Form<Fields>
      form={form}
      layout="vertical"
      requiredMark={false}
      initialValues={initial}
      scrollToFirstError={{ focus: true }}
      onFinish={(fields) => launch.mutate(fields)}
      onValuesChange={(changed: Partial<Fields>) => {
        // Another image may need more than the chosen flavor has.
        const next = images.find((i) => i.id === changed.image);
        const current = flavors.find((f) => f.id === form.getFieldValue('flavor'));
        if (next && (current === undefined || misfit(current, next) !== null)) {
          form.setFieldValue('flavor', firstFlavor(flavors, next)?.id);
        }
      }}
    >
      <div className="launch">
        <div className="stack">
          <Panel>
            <div className="row" style={{ alignItems: 'flex-start', gap: 16 }}>
              <Form.Item
                name="name"
                label={t('field.name')}
                style={{ flex: '1 1 240px', marginBottom: 0 }}
                rules={[
                  { required: true, whitespace: true, message: t('launch.needName') },
                  { max: 255, message: t('tooLong', { max: 255 }) },
                ]}
              >
                <Input autoFocus placeholder="web-1" autoComplete="off" />
              </Form.Item>
              <Form.Item name="count" label={t('launch.count')} style={{ marginBottom: 0 }} {...(count > 1 && { extra: t('launch.numbered') })} rules={[{ required: true, message: t('launch.needCount') }]}>
                <InputNumber min={1} max={100} precision={0} />
              </Form.Item>
            </div>
          </Panel>
          <Panel title={t('field.image')}>
            {images.length === 0 ? (
              <p className="muted">{t('launch.noImages')}</p>
            ) : (
              <Form.Item name="image" noStyle rules={[{ required: true, message: t('launch.needImage') }]}>
                <Cards
                  label={t('field.image')}
                  options={images.map((i) => ({
                    value: i.id,
                    title: i.name ?? i.id,
                    text: [i.os_distro, i.os_version, i.disk_format, i.size === null ? null : bytes(i.size, i18n.language)].filter(Boolean).join(' · '),
                  }))}
                />
              </Form.Item>
            )}
          </Panel>
          <Panel title={t('field.flavor')}>
            <Form.Item name="flavor" noStyle rules={[{ required: true, message: t('launch.needFlavor') }]}>
              <Cards
                label={t('field.flavor')}
                options={flavors.map((f) => {
                  const why = misfit(f, image);
                  return {
                    value: f.id,
                    title: f.name,
                    text: (
                      <>
                        {t('flavor.short', { vcpus: f.vcpus, ram: memory(f.ram, i18n.language) })}
                        <br />
                        {t('flavor.disk', { disk: gibibytes(f.disk, i18n.language) })}
                      </>
                    ),
                    disabled: why === null ? undefined : reasons[why],
                  };
                })}
              />
            </Form.Item>
          </Panel>
          <Panel title={t('launch.networks')}>
            {networks.length === 0 ? (
              <p className="muted">{t('launch.noNetworks')}</p>
            ) : (
              <Form.Item name="networks" noStyle>
                <CardsMany
                  label={t('launch.networks')}
                  options={networks.map((n) => ({
                    value: n.id,
                    title: n.name,
                    text: subnets.filter((s) => s.network_id === n.id).map((s) => s.cidr).join(' · '),
                  }))}
                />
              </Form.Item>
            )}
          </Panel>
          <Panel title={t('launch.access')}>
            <Form.Item label={t('field.key')} extra={t('launch.keyHelp')}>
              <div className="row">
                <Form.Item name="key" noStyle>
                  <Select
                    allowClear
                    showSearch
                    style={{ flex: '1 1 200px', maxWidth: 360 }}
                    placeholder={t('launch.noKey')}
                    aria-label={t('field.key')}
                    options={keys.map((k) => ({ value: k.name, label: k.name }))}
                  />
                </Form.Item>
                <Button onClick={() => setDialog('create')}>{t('key.create')}</Button>
                <Button onClick={() => setDialog('import')}>{t('key.import')}</Button>
              </div>
            </Form.Item>
            <Form.Item name="groups" label={t('field.groups')} extra={t('launch.groupsHelp')} style={{ marginBottom: 0 }}>
              <Select mode="multiple" options={groups.map((g) => ({ value: g.name, label: g.name, title: g.description }))} />
            </Form.Item>
          </Panel>
          <Collapse
            items={[
              {
                key: 'where',
                label: t('launch.where'),
                forceRender: true,
                children: (
                  <>
                    <Form.Item name="zone" label={t('field.zone')} extra={t('server.anyZone')}>
                      <Select allowClear options={zones} notFoundContent={<span className="muted">{t('resource.noChoice')}</span>} />
                    </Form.Item>
                    <Form.Item name="group" label={t('thing.server-groups.one')} extra={t('launch.groupHelp')} style={{ marginBottom: 0 }}>
                      <Select allowClear options={serverGroups.map((g) => ({ value: g.id, label: g.name }))} notFoundContent={<span className="muted">{t('resource.noChoice')}</span>} />
                    </Form.Item>
                  </>
                ),
              },
              {
                key: 'userData',
                label: t('launch.userData'),
                forceRender: true,
                children: (
                  <Form.Item
                    name="userData"
                    label={t('launch.userData')}
                    extra={t('launch.userDataHelp')}
                    style={{ marginBottom: 0 }}
                    rules={[{ validator: (_, text: string) => (base64(text ?? '').length > 65535 ? Promise.reject(new Error(t('launch.userDataLong'))) : Promise.resolve()) }]}
                  >
                    <Input.TextArea rows={7} className="mono" spellCheck={false} placeholder={'#cloud-config\npackages: [nginx]'} />
                  </Form.Item>
                ),
              },
            ]}
          />
        </div>
        <div className="summary">
          <Panel title={t('launch.summary')}>
            <div className="stack">
              {limits && flavor && (
                <>
                  <Usage label={t('quota.instances')} used={limits.totalInstancesUsed} limit={limits.maxTotalInstances} more={count} />
                  <Usage label={t('quota.cores')} used={limits.totalCoresUsed} limit={limits.maxTotalCores} more={count * flavor.vcpus} />
                  <Usage label={t('quota.ram')} used={limits.totalRAMUsed} limit={limits.maxTotalRAMSize} more={count * flavor.ram} show={memory} />
                  {over(limits, flavor, count) && <div className="small tone-bad" role="status">{t('launch.over')}</div>}
                </>
              )}
              <LiveFit wanted={{ flavor: flavorId ?? '', image: imageId, count: count ?? 0, zone: typed?.zone, group: typed?.group }} />
              {launch.error && (
                <div ref={problem} tabIndex={-1}>
                  <Problem error={launch.error} />
                </div>
              )}
              <Button type="primary" size="large" block htmlType="submit" loading={launch.isPending}>
                {t(count > 1 ? 'launch.submitMany' : 'launch.submit', { count })}
              </Button>
              <AsCommand calls={[newServer(body({ ...initial, ...typed }), typed?.group)]} />
              <Link to="/instances" style={{ textAlign: 'center' }}>
                {t('cancel')}
              </Link>
            </div>
          </Panel>
        </div>
      </div>
      {dialog && (
        <KeyPairDialog
          mode={dialog}
          close={(name) => {
            setDialog(null);
            if (name !== undefined) {
              form.setFieldValue('key', name);
            }
          }}
        />
      )}
    </Form>
  );
}

function over(limits: ComputeLimits, flavor: Flavor, count: number): boolean {
  const beyond = (used: number, more: number, limit: number) => limit >= 0 && used + more > limit;
  return (
    beyond(limits.totalInstancesUsed, count, limits.maxTotalInstances) ||
    beyond(limits.totalCoresUsed, count * flavor.vcpus, limits.maxTotalCores) ||
    beyond(limits.totalRAMUsed, count * flavor.ram, limits.maxTotalRAMSize)
  );
}

function body(fields: Fields): NewServer {
  const { name, count, image, flavor, networks = [], key, groups = [], zone, userData = '' } = fields;
  return {
    name: name.trim(),
    imageRef: image,
    flavorRef: flavor,
    networks: networks.length === 0 ? 'none' : networks.map((uuid) => ({ uuid })),
    ...(key && { key_name: key }),
    ...(zone && { availability_zone: zone }),
    // Groups belong to ports: a server without any takes none.
    ...(groups.length > 0 && networks.length > 0 && { security_groups: groups.map((group) => ({ name: group })) }),
    ...(userData.trim() !== '' && { user_data: base64(userData) }),
    ...(count > 1 && { min_count: count, max_count: count }),
  };
}
