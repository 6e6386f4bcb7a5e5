/** Properties, one a line. */
export const pairs = (all: Record<string, string> | undefined) =>
  all !== undefined && Object.keys(all).length > 0
    ? Object.entries(all).map(([key, value]) => (
        <div key={key} className="mono wrap">
          {`${key}=${value}`}
        </div>
      ))
    : null;
