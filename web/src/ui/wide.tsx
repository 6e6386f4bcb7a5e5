import { useEffect, useRef, useState, type ReactNode } from 'react';

/** What may be wider than the screen scrolls by itself, also by keyboard. */
export function Wide({ label, children }: { label: string; children: ReactNode }) {
  const box = useRef<HTMLDivElement>(null);
  const [beyond, setBeyond] = useState(false);
  useEffect(() => {
    const element = box.current;
    if (element === null) {
      return;
    }
    const observer = new ResizeObserver(() => setBeyond(element.scrollWidth > element.clientWidth));
    observer.observe(element);
    for (const child of element.children) {
      observer.observe(child);
    }
    return () => observer.disconnect();
  }, []);
  return (
    <div ref={box} className="scroll-x" {...(beyond && { tabIndex: 0, role: 'region', 'aria-label': label })}>
      {children}
    </div>
  );
}
