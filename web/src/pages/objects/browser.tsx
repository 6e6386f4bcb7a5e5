import { useInfiniteQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { App, Button, Dropdown, Table } from 'antd';
import { useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { perform } from '../../api/client';
import { entries, objectPath, pageSize, remove, type Entry } from '../../api/object';
import { bytes } from '../../format';
import { ActionDialog } from '../../resource/dialog';
import { refresh } from '../../resource/query';
import type { Resource } from '../../resource/resource';
import { useHere } from '../../shell/here';
import { EllipsisOutlined, FileOutlined, FolderOutlined, InboxOutlined, UploadOutlined } from '../../ui/icons';
import { PageHead } from '../../ui/page';
import { Problem, Told } from '../../ui/problem';
import { Ago } from '../../ui/time';
import { Wide } from '../../ui/wide';
import { Details } from './details';
import { Share } from './share';
import { Transfers, useTransfers } from './transfers';

/** A container as folders and files: dropped files are uploaded into the folder that is shown. */
export default function Browser() {
  const { t } = useTranslation();
  const { container } = useParams({ from: '/signed-in/objects/$container' });
  const { folder = '' } = useSearch({ from: '/signed-in/objects/$container' });
  return (
    <>
      <nav aria-label={t('resource.path')} className="row small">
        <Link to="/$kind" params={{ kind: 'containers' }}>
          {t('thing.containers.many')}
        </Link>
        {['', ...folders(folder)].map((place) => (
          <span key={place}>
            {'/ '}
            <Link to="/objects/$container" params={{ container }} search={place === '' ? {} : { folder: place }}>
              {place === '' ? container : (place.split('/').at(-2) ?? place)}
            </Link>
          </span>
        ))}
      </nav>
      <Folder key={`${container}/${folder}`} container={container} folder={folder} />
    </>
  );
}

/** `a/b/` is in `a/` and in `a/b/`. */
export const folders = (path: string) =>
  path
    .split('/')
    .slice(0, -1)
    .map((_, i, all) => `${all.slice(0, i + 1).join('/')}/`);

function Folder({ container, folder }: { container: string; folder: string }) {
  const { t } = useTranslation();
  const { scope } = useHere();
  const queryClient = useQueryClient();
  const picker = useRef<HTMLInputElement>(null);
  const [over, setOver] = useState(false);
  const [selected, setSelected] = useState<string[]>([]);
  const [deleting, setDeleting] = useState<Entry[]>([]);
  const [sharing, setSharing] = useState<Entry | null>(null);
  const [showing, setShowing] = useState<Entry | null>(null);
  const project = scope.project.id;
  const list = useInfiniteQuery({
    queryKey: ['objects', project, container, folder],
    queryFn: ({ signal, pageParam }) => entries(project, container, folder, pageParam, signal),
    initialPageParam: '',
    getNextPageParam: (page) => (page.length < pageSize ? undefined : page.at(-1)?.name),
  });
  const { transfers, upload, fetchObject } = useTransfers(container, () => refresh(queryClient));
  const rows = list.data?.pages.flat().filter((entry) => entry.name !== folder) ?? [];
  const chosen = rows.filter((row) => selected.includes(row.name));
  const take = (files: FileList | null) => [...(files ?? [])].forEach((file) => void upload(folder + file.name, file));
  const resource: Resource<Entry> = {
    kind: 'containers',
    icon: <InboxOutlined />,
    list: async () => rows,
    id: (row) => row.name,
    name: (row) => row.name.slice(folder.length),
    columns: [],
  };
  return (
    <>
      <PageHead title={folder === '' ? container : (folder.split('/').at(-2) ?? folder)}>
        <MakeFolder container={container} folder={folder} />
        <Button type="primary" icon={<UploadOutlined />} onClick={() => picker.current?.click()}>
          {t('object.upload')}
        </Button>
        <input ref={picker} type="file" multiple hidden data-testid="files" onChange={(event) => take(event.target.files)} />
      </PageHead>
      <div
        className={`panel drop${over ? ' over' : ''}`}
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={(event) => {
          event.preventDefault();
          setOver(false);
          take(event.dataTransfer.files);
        }}
        data-testid="drop"
      >
        <div className="tools" role="toolbar" aria-label={t('resource.tools', { what: t('object.many') })}>
          <span className="muted">{t('object.dropHint')}</span>
          <span className="grow" />
          <Button danger disabled={chosen.length === 0} onClick={() => setDeleting(chosen)}>
            {t('resource.delete')}
          </Button>
        </div>
        {list.error ? (
          <Problem error={list.error} retry={() => void list.refetch()} />
        ) : (
          <Wide label={container}>
            <Table<Entry>
              size="middle"
              rowKey="name"
              loading={list.isPending}
              dataSource={rows}
              pagination={{ defaultPageSize: 50, hideOnSinglePage: true, showSizeChanger: false }}
              locale={{ emptyText: <p className="muted">{t('object.empty')}</p> }}
              rowSelection={{
                selectedRowKeys: chosen.map((row) => row.name),
                onChange: (keys) => setSelected(keys as string[]),
                getCheckboxProps: (row) => ({ 'aria-label': t('resource.select', { name: row.name }), disabled: row.folder }),
                getTitleCheckboxProps: () => ({ 'aria-label': t('resource.selectAll') }),
              }}
              columns={[
                {
                  title: t('field.name'),
                  render: (_, row) =>
                    row.folder ? (
                      <Link to="/objects/$container" params={{ container }} search={{ folder: row.name }} className="name">
                        <FolderOutlined /> {row.name.slice(folder.length)}
                      </Link>
                    ) : (
                      <button type="button" className="link-button name" onClick={() => setShowing(row)}>
                        <FileOutlined /> {row.name.slice(folder.length)}
                      </button>
                    ),
                },
                { title: t('field.size'), align: 'right', render: (_, row) => !row.folder && <Size bytes={row.bytes} /> },
                { title: t('field.type'), responsive: ['lg'], render: (_, row) => row.content_type },
                { title: t('field.updated'), responsive: ['md'], render: (_, row) => row.last_modified && <Ago time={row.last_modified} /> },
                {
                  title: <span className="unseen">{t('field.actions')}</span>,
                  width: 56,
                  render: (_, row) =>
                    !row.folder && (
                      <Dropdown
                        autoFocus
                        trigger={['click']}
                        menu={{
                          items: [
                            { key: 'download', label: t('object.download') },
                            { key: 'share', label: t('object.share') },
                            { key: 'details', label: t('object.details') },
                            { key: 'delete', label: t('resource.delete'), danger: true },
                          ],
                          onClick: ({ key, domEvent }) => {
                            domEvent.preventDefault(); // or Enter would press what the dialog focuses
                            const todo: Record<string, () => void> = {
                              download: () => void fetchObject(row.name),
                              share: () => setSharing(row),
                              details: () => setShowing(row),
                              delete: () => setDeleting([row]),
                            };
                            todo[key]?.();
                          },
                        }}
                      >
                        <Button type="text" icon={<EllipsisOutlined />} aria-label={t('resource.menu', { name: row.name })} />
                      </Dropdown>
                    ),
                },
              ]}
            />
          </Wide>
        )}
        {list.hasNextPage && (
          <div className="tools">
            <Button loading={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()}>
              {t('object.more')}
            </Button>
          </div>
        )}
      </div>
      <Transfers transfers={transfers} />
      {deleting.length > 0 && (
        <ActionDialog
          resource={resource}
          action={{ key: 'delete', word: 'resource.delete', danger: true, ask: 'object.deleteAsk', call: (_, row) => remove(objectPath(project, container, row.name)) }}
          rows={deleting}
          close={() => setDeleting([])}
        />
      )}
      {sharing && <Share container={container} name={sharing.name} close={() => setSharing(null)} />}
      {showing && <Details container={container} entry={showing} download={() => void fetchObject(showing.name)} close={() => setShowing(null)} />}
    </>
  );
}

function Size({ bytes: n }: { bytes: number }) {
  const { i18n } = useTranslation();
  return <span className="nums">{bytes(n, i18n.language)}</span>;
}

/** A folder is a name that ends in a slash: an empty object keeps it until something is in it. */
function MakeFolder({ container, folder }: { container: string; folder: string }) {
  const { t } = useTranslation();
  const { scope } = useHere();
  const navigate = useNavigate();
  const { modal, notification } = App.useApp();
  const name = useRef('');
  const make = async () => {
    name.current = '';
    const sure = await modal.confirm({
      title: t('object.folder'),
      content: <input className="plain-input" autoFocus aria-label={t('field.name')} onChange={(event) => (name.current = event.target.value)} />,
      okText: t('object.folder'),
      cancelText: t('cancel'),
    });
    const wanted = name.current.trim().replaceAll('/', '');
    if (!sure || wanted === '') {
      return;
    }
    try {
      await perform({ service: 'object', method: 'PUT', path: objectPath(scope.project.id, container, `${folder}${wanted}/`), headers: { 'Content-Type': 'application/directory' } });
      await navigate({ to: '/objects/$container', params: { container }, search: { folder: `${folder}${wanted}/` } });
    } catch (error) {
      notification.error({ title: t('object.folder'), description: <Told error={error as Error} /> });
    }
  };
  return <Button onClick={() => void make()}>{t('object.folder')}</Button>;
}
