import { all } from '../../api/client';
import { code } from '../../resource/ref';
import { define, del, post } from '../../resource/resource';
import { KeyOutlined } from '../../ui/icons';

interface Credential {
  access: string;
  secret: string;
  tenant_id: string;
}

/** Keys of programs that speak S3 or EC2. */
export default define<Credential>({
  kind: 'ec2-credentials',
  icon: <KeyOutlined />,
  list: (scope, signal) => all('identity', `/users/${scope.user.id}/credentials/OS-EC2`, 'credentials', signal),
  id: (row) => row.access,
  name: (row) => row.access,
  columns: [{ word: 'field.project', from: 'md', show: (row) => code(row.tenant_id) }],
  create: [
    {
      key: 'ec2-create',
      word: 'accessKey.create',
      by: 'reader',
      ask: 'accessKey.createAsk',
      call: (_, __, scope) => post('identity', `/users/${scope.user.id}/credentials/OS-EC2`, { tenant_id: scope.project.id }),
      secret: (reply) => {
        const { access, secret } = (reply as { credential: Credential }).credential;
        return [{ word: 'accessKey.variables', file: 'nacre.env', text: `export AWS_ACCESS_KEY_ID=${access}\nexport AWS_SECRET_ACCESS_KEY=${secret}\n` }];
      },
      secretHelp: 'accessKey.again',
    },
  ],
  actions: [
    { key: 'delete', word: 'resource.delete', by: 'reader', danger: true, bulk: true, ask: 'accessKey.deleteAsk', call: (_, row, scope) => del('identity', `/users/${scope.user.id}/credentials/OS-EC2/${row.access}`) },
  ],
});
