import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { App, Button, Form, Input, InputNumber, Modal, Select, Table } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { attachVolume, detachVolume, serversQuery } from '../api/compute';
import { createVolume, deleteVolume, volumesQuery, volumeTypesQuery, type NewVolume, type Volume } from '../api/volume';
import { gibibytes } from '../format';
import { toneOfVolume } from '../state';
import { Empty } from '../ui/empty';
import { PageHead } from '../ui/page';
import { Problem, problemText } from '../ui/problem';
import { Mark, volumeWord } from '../ui/status';
import { Wide } from '../ui/wide';
import { Ago } from '../ui/time';
import { HddOutlined, PlusOutlined } from '../ui/icons';

const label = (volume: Volume) => volume.name || volume.id.slice(0, 8);

export default function Volumes() {
  const { t, i18n } = useTranslation();
  const { modal, notification } = App.useApp();
  const queryClient = useQueryClient();
  const volumes = useQuery(volumesQuery);
  const { data: servers = [] } = useQuery(serversQuery);
  const [creating, setCreating] = useState(false);
  const [attaching, setAttaching] = useState<Volume | null>(null);

  const refresh = () =>
    Promise.all([
      queryClient.invalidateQueries({ queryKey: volumesQuery.queryKey }),
      queryClient.invalidateQueries({ queryKey: serversQuery.queryKey }),
      queryClient.invalidateQueries({ queryKey: ['limits'] }),
    ]);
  const change = useMutation({
    mutationFn: (work: () => Promise<void>) => work(),
    onError: (error) => notification.error({ title: t('volume.failed'), description: problemText(t, error) }),
    onSettled: refresh,
  });
  const confirm = async (what: 'detach' | 'delete', volume: Volume, work: () => Promise<void>) => {
    const sure = await modal.confirm({
      title: t(`volume.${what}Title`, { name: label(volume) }),
      content: t(`volume.${what}Text`),
      okText: t(`volume.${what}`),
      okButtonProps: { danger: what === 'delete' },
      cancelText: t('cancel'),
    });
    if (sure) {
      change.mutate(work);
    }
  };
  const create = (
    <Button type="primary" icon={<PlusOutlined />} onClick={() => setCreating(true)}>
      {t('volume.create')}
    </Button>
  );
  return (
    <>
      <PageHead title={t('nav.volumes')}>{create}</PageHead>
      {volumes.error && volumes.data === undefined ? (
        <Problem error={volumes.error} retry={() => void volumes.refetch()} />
      ) : (
        <div className="panel">
          {volumes.data?.length === 0 ? (
            <Empty icon={<HddOutlined />} title={t('volume.empty')} text={t('volume.emptyText')}>
              {create}
            </Empty>
          ) : (
            <Wide label={t('nav.volumes')}>
            <Table<Volume>
              size="middle"
              rowKey="id"
              loading={volumes.isPending}
              dataSource={volumes.data ?? []}
              pagination={{ defaultPageSize: 20, hideOnSinglePage: true, showSizeChanger: true }}
              showSorterTooltip={false}
              columns={[
                { title: t('field.name'), sorter: (a, b) => label(a).localeCompare(label(b)), render: (_, v) => <strong>{label(v)}</strong> },
                {
                  title: t('field.status'),
                  render: (_, v) => (
                    <Mark tone={toneOfVolume(v.status)} raw={v.status}>
                      {volumeWord(t, v.status)}
                    </Mark>
                  ),
                },
                {
                  title: t('field.size'),
                  align: 'right',
                  sorter: (a, b) => a.size - b.size,
                  render: (_, v) => <span className="nums">{gibibytes(v.size, i18n.language)}</span>,
                },
                { title: t('field.type'), responsive: ['md'], render: (_, v) => v.volume_type },
                {
                  title: t('volume.attachedTo'),
                  render: (_, v) =>
                    v.attachments.map((a) => (
                      <div key={a.attachment_id ?? a.server_id}>
                        <Link to="/instances/$id/$tab" params={{ id: a.server_id, tab: 'overview' }}>
                          {servers.find((s) => s.id === a.server_id)?.name ?? a.server_id.slice(0, 8)}
                        </Link>{' '}
                        <span className="mono muted">{a.device}</span>
                      </div>
                    )),
                },
                { title: t('field.created'), responsive: ['lg'], render: (_, v) => <Ago time={v.created_at} /> },
                {
                  title: '',
                  align: 'right',
                  render: (_, v) => {
                    const attached = v.attachments[0];
                    return (
                      <span className="row" style={{ justifyContent: 'flex-end' }}>
                        {v.status === 'in-use' && attached ? (
                          <Button
                            size="small"
                            aria-label={t('volume.detachLabel', { name: label(v) })}
                            onClick={() => void confirm('detach', v, () => detachVolume(attached.server_id, v.id))}
                          >
                            {t('volume.detach')}
                          </Button>
                        ) : (
                          <Button size="small" disabled={v.status !== 'available'} aria-label={t('volume.attachLabel', { name: label(v) })} onClick={() => setAttaching(v)}>
                            {t('volume.attach')}
                          </Button>
                        )}
                        <Button
                          size="small"
                          danger
                          disabled={v.status !== 'available' && !v.status.startsWith('error')}
                          aria-label={t('volume.deleteLabel', { name: label(v) })}
                          onClick={() => void confirm('delete', v, () => deleteVolume(v.id))}
                        >
                          {t('volume.delete')}
                        </Button>
                      </span>
                    );
                  },
                },
              ]}
            />
            </Wide>
          )}
        </div>
      )}
      {creating && <Create close={() => setCreating(false)} refresh={refresh} />}
      {attaching && <Attach volume={attaching} close={() => setAttaching(null)} refresh={refresh} />}
    </>
  );
}

interface DialogProps {
  close: () => void;
  refresh: () => Promise<unknown>;
}

function Create({ close, refresh }: DialogProps) {
  const { t } = useTranslation();
  const { data: types = [] } = useQuery(volumeTypesQuery);
  const add = useMutation({
    mutationFn: createVolume,
    onSuccess: async () => {
      await refresh();
      close();
    },
  });
  return (
    <Modal open title={t('volume.create')} onCancel={close} footer={null} destroyOnHidden>
      <Form<NewVolume> layout="vertical" requiredMark={false} initialValues={{ size: 10 }} onFinish={(form) => add.mutate(form)}>
        <Form.Item name="name" label={t('field.name')} rules={[{ required: true, whitespace: true, message: t('volume.needName') }, { max: 255, message: t('tooLong', { max: 255 }) }]}>
          <Input autoFocus />
        </Form.Item>
        <Form.Item name="size" label={t('volume.size')} rules={[{ required: true, message: t('volume.needSize') }]}>
          <InputNumber min={1} max={65536} precision={0} suffix="GiB" style={{ width: 160 }} />
        </Form.Item>
        {types.length > 1 && (
          <Form.Item name="volume_type" label={t('field.type')}>
            <Select allowClear placeholder={t('volume.defaultType')} options={types.map((type) => ({ value: type.name, label: type.name }))} />
          </Form.Item>
        )}
        {add.error && (
          <div style={{ marginBottom: 16 }}>
            <Problem error={add.error} />
          </div>
        )}
        <div className="row" style={{ justifyContent: 'flex-end' }}>
          <Button onClick={close}>{t('cancel')}</Button>
          <Button type="primary" htmlType="submit" loading={add.isPending}>
            {t('volume.create')}
          </Button>
        </div>
      </Form>
    </Modal>
  );
}

function Attach({ volume, close, refresh }: DialogProps & { volume: Volume }) {
  const { t } = useTranslation();
  const { data: servers = [] } = useQuery(serversQuery);
  const [server, setServer] = useState<string>();
  const able = servers.filter((s) => s.status === 'ACTIVE' || s.status === 'SHUTOFF');
  const attach = useMutation({
    mutationFn: (id: string) => attachVolume(id, volume.id),
    onSuccess: async () => {
      await refresh();
      close();
    },
  });
  return (
    <Modal
      open
      title={t('volume.attachTitle', { name: label(volume) })}
      onCancel={close}
      okText={t('volume.attach')}
      cancelText={t('cancel')}
      okButtonProps={{ disabled: server === undefined, loading: attach.isPending }}
      onOk={() => server !== undefined && attach.mutate(server)}
      destroyOnHidden
    >
      <div className="stack">
        {able.length === 0 ? (
          <p className="muted">{t('volume.noServer')}</p>
        ) : (
          <Select
            showSearch={{ optionFilterProp: 'label' }}
            aria-label={t('volume.server')}
            placeholder={t('volume.server')}
            {...(server !== undefined && { value: server })}
            onChange={setServer}
            options={able.map((s) => ({ value: s.id, label: s.name }))}
          />
        )}
        {attach.error && <Problem error={attach.error} />}
      </div>
    </Modal>
  );
}
