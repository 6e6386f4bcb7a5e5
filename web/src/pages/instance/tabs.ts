// The tabs of an instance's page, as its address names them.
export const tabs = ['overview', 'console', 'spice', 'serial', 'log', 'inside', 'history'] as const;
export type Tab = (typeof tabs)[number];
