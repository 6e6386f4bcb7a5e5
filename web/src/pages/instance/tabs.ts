// The tabs of an instance's page, as its address names them.
export const tabs = ['overview', 'console', 'serial', 'log', 'history'] as const;
export type Tab = (typeof tabs)[number];
