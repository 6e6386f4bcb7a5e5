import { change, containerPath, containers, putContainer, remove, type Container } from '../../api/object';
import { bytes } from '../../format';
import { define, type Action } from '../../resource/resource';
import { InboxOutlined } from '../../ui/icons';
import { Ago } from '../../ui/time';

const open: Action<Container>['fields'] = [
  { key: 'public', label: 'object.public', kind: 'switch', hint: 'object.publicHint', initial: false },
];

const access = (on: unknown) => ({ 'X-Container-Read': on === true ? '.r:*,.rlistings' : '' });

export default define<Container>({
  kind: 'containers',
  icon: <InboxOutlined />,
  list: (scope, signal) => containers(scope.project.id, signal),
  id: (row) => row.name,
  name: (row) => row.name,
  place: (row) => `/objects/${encodeURIComponent(row.name)}`,
  columns: [
    { word: 'object.count', right: true, sort: (row) => row.count, show: (row) => <span className="nums">{row.count}</span> },
    { word: 'field.size', right: true, sort: (row) => row.bytes, show: (row, { language }) => <span className="nums">{bytes(row.bytes, language)}</span> },
    { word: 'field.updated', from: 'md', sort: (row) => row.last_modified, show: (row) => <Ago time={row.last_modified} /> },
  ],
  create: [
    {
      key: 'container-create',
      word: 'object.createContainer',
      fields: [{ key: 'name', label: 'field.name', kind: 'text', required: true, max: 256, pattern: { is: /^[^/]+$/, else: 'object.noSlash' } }, ...open],
      call: ({ name, ...rest }, _, scope) => ({
        ...putContainer(scope.project.id, String(name ?? '')),
        ...(rest['public'] === true && { headers: access(true) }),
      }),
    },
  ],
  actions: [
    { key: 'container-access', word: 'object.access', fields: open, call: (body, row, scope) => change(containerPath(scope.project.id, row.name), access(body['public'])) },
    {
      key: 'delete',
      word: 'resource.delete',
      danger: true,
      bulk: true,
      ask: 'object.deleteContainerAsk',
      call: (_, row, scope) => remove(containerPath(scope.project.id, row.name)),
    },
  ],
});
