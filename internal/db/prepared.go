package db

import (
	"context"
	"database/sql"
	"sync"
)

// prepared keeps statements of the query builder that SQLite has parsed. Their texts
// are few, since they have lost their values.
type prepared struct {
	prepare func(ctx context.Context, query string) (*sql.Stmt, error)
	// steady makes a statement that has begun run to its end, also when its caller
	// goes away. SQLite answers an interrupted write by rolling back the whole
	// transaction, and that is everybody's in the group. Statements are short;
	// whoever is gone is refused before its turn.
	steady bool

	mu    sync.Mutex // guards known
	known map[string]*sql.Stmt
}

// mostPrepared bounds what is kept, should texts be made after all.
const mostPrepared = 2000

// find returns the statement, or nil when there are enough of them.
func (p *prepared) find(ctx context.Context, query string) (*sql.Stmt, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	stmt := p.known[query]
	if stmt != nil || len(p.known) == mostPrepared {
		return stmt, nil
	}
	stmt, err := p.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	if p.known == nil {
		p.known = map[string]*sql.Stmt{}
	}
	p.known[query] = stmt
	return stmt, nil
}

// steadied is the context of a statement.
func (p *prepared) steadied(ctx context.Context) context.Context {
	if p.steady {
		return context.WithoutCancel(ctx)
	}
	return ctx
}

// close forgets all statements.
func (p *prepared) close() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, stmt := range p.known {
		stmt.Close()
	}
	p.known = nil
}
