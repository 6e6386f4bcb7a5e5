import { post, type Action } from '../../resource/resource';

/** The user's own password: whoever changes it knows the former one. */
export const changePassword: Action<unknown> = {
  key: 'password-change',
  word: 'account.change',
  ask: 'account.changeAsk',
  fields: [
    { key: 'original_password', label: 'account.current', kind: 'secret', required: true },
    { key: 'password', label: 'account.new', kind: 'secret', required: true },
  ],
  call: (user, _, scope) => post('identity', `/users/${scope.user.id}/password`, { user }),
};
