package cluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"nacre/internal/db"
)

// Server is a server of the cloud.
type Server struct {
	ID        string
	URL       string
	StartedAt time.Time
	SeenAt    time.Time
	Alive     bool
}

type serverRow struct {
	bun.BaseModel `bun:"table:cloud_servers"`

	ID        string  `bun:",pk"`
	URL       string  `bun:"url"`
	StartedAt db.Time `bun:"started_at"`
	SeenAt    db.Time `bun:"seen_at"`
}

// forgotten is how long servers, tokens and certificates that are no more stay in
// their lists.
const forgotten = 7 * 24 * time.Hour

// announce says that this server is there, and learns of the others.
func (c *Cluster) announce(ctx context.Context) error {
	now := c.Clock.Now()
	var rows []serverRow
	err := c.DB.Write(ctx, func(tx *db.Tx) error {
		row := serverRow{ID: c.ID, URL: c.URL, StartedAt: db.At(now), SeenAt: db.At(now)}
		_, err := tx.NewInsert().Model(&row).
			On("CONFLICT (id) DO UPDATE").Set("url = excluded.url").Set("seen_at = excluded.seen_at").Exec(ctx)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "DELETE FROM cloud_servers WHERE seen_at < ?", db.At(now.Add(-forgotten)))
		if err != nil {
			return err
		}
		rows = nil
		return tx.All(ctx, &rows, "SELECT * FROM cloud_servers ORDER BY id")
	})
	if err != nil {
		return fmt.Errorf("announce this server: %w", err)
	}
	servers := make([]Server, len(rows))
	for i, r := range rows {
		age := now.Sub(r.SeenAt.Time())
		servers[i] = Server{ID: r.ID, URL: r.URL, StartedAt: r.StartedAt.Time(), SeenAt: r.SeenAt.Time(), Alive: age < silent}
		if age < -beat {
			c.Log.Error("clocks differ: this server is behind another one; leases and who is up depend on the time", "server", r.ID, "by", -age)
		}
	}
	c.mu.Lock()
	c.servers = servers
	c.mu.Unlock()
	return nil
}

// Servers lists the servers of the cloud as they were a moment ago.
func (c *Cluster) Servers() []Server {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.servers)
}

// URLs are where nodes reach the servers that are alive, this one first.
func (c *Cluster) URLs() []string {
	var urls []string
	for _, s := range c.Servers() {
		switch {
		case !s.Alive || s.URL == "":
		case s.ID == c.ID:
			urls = slices.Insert(urls, 0, s.URL)
		default:
			urls = append(urls, s.URL)
		}
	}
	return urls
}

// url is where another server is reached, "" when it is not alive. One that has just
// started is in the database before this one has learned of it.
func (c *Cluster) url(ctx context.Context, id string) (string, error) {
	alive := func(s Server) bool { return s.ID == id && s.Alive }
	servers := c.Servers()
	if !slices.ContainsFunc(servers, alive) {
		err := c.announce(ctx)
		if err != nil {
			return "", err
		}
		servers = c.Servers()
	}
	i := slices.IndexFunc(servers, alive)
	if i < 0 {
		return "", nil
	}
	return servers[i].URL, nil
}

// leave lets go of the leases and says that this server is gone.
func (c *Cluster) leave(ctx context.Context) error {
	c.loseAll()
	return c.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE loop_leases SET lease = 0 WHERE holder = ?", c.ID)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "UPDATE cloud_servers SET seen_at = 0 WHERE id = ?", c.ID)
		return err
	})
}
