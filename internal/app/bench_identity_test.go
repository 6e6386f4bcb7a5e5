package app_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"nacre/internal/await"
	"nacre/internal/db"
	"nacre/internal/testcloud"
)

// multitude is a cloud of many: 100,000 users in 20,000 projects and 100,000
// revocations of each kind.
type multitude struct {
	*testcloud.Cloud
	b      *testing.B
	tokens []string // of users, each for one project
}

const (
	manyUsers    = 100_000
	manyProjects = 20_000
	manyTokens   = 1_000
)

func newMultitude(b *testing.B) multitude {
	wide()
	m := multitude{Cloud: testcloud.Start(b), b: b}
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		b.Fatal(err)
	}
	now := db.At(time.Now())
	series := func(n int) string {
		return fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) `, n)
	}
	err = m.App.DB.Write(b.Context(), func(tx *db.Tx) error {
		for _, insert := range []struct {
			text string
			args []any
		}{
			{`INSERT INTO projects (id, domain_id, parent_id, name, enabled, created_at) ` + series(manyProjects) +
				`SELECT 'project' || i, 'default', 'default', 'project' || i, 1, ? FROM n`, []any{now}},
			{`INSERT INTO users (id, domain_id, name, password_hash, enabled, created_at) ` + series(manyUsers) +
				`SELECT 'user' || i, 'default', 'user' || i, ?, 1, ? FROM n`, []any{string(hash), now}},
			{`INSERT INTO grants (actor_kind, actor_id, target_kind, target_id, role_id) ` + series(manyUsers) +
				`SELECT 'user', 'user' || i, 'project', 'project' || (i % ? + 1), (SELECT id FROM roles WHERE name = 'member') FROM n`, []any{manyProjects}},
			{`INSERT INTO revoked_tokens (audit_id, expires_at) ` + series(manyUsers) + `SELECT 'audit' || i, ? FROM n`, []any{db.At(time.Now().Add(time.Hour))}},
			{`INSERT INTO token_floors (subject, revision, updated_at) ` + series(manyUsers) + `SELECT 'user/gone' || i, 1, ? FROM n`, []any{now}},
		} {
			_, err := tx.Exec(b.Context(), insert.text, insert.args...)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	for i := range manyTokens {
		m.tokens = append(m.tokens, m.sign(fmt.Sprintf(`"methods":["password"],"password":{"user":{"id":"user%d","password":"secret"}}`, i+1), i))
	}
	return m
}

// sign gets a token of a user for its project.
func (m multitude) sign(methods string, i int) string {
	return signed(m.b, m.URL, methods, fmt.Sprint("project", (i+1)%manyProjects+1))
}

// signed gets a token for a project.
func signed(b *testing.B, url, methods, project string) string {
	body := fmt.Sprintf(`{"auth":{"identity":{%s},"scope":{"project":{"id":%q}}}}`, methods, project)
	reply, err := http.DefaultClient.Post(url+"/v3/auth/tokens?nocatalog", "application/json", strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body) // else the connection could not be used again
	if err != nil {
		b.Fatal(err)
	}
	if reply.StatusCode != http.StatusCreated {
		b.Fatalf("token by %s: got %d %s", methods, reply.StatusCode, text)
	}
	return reply.Header.Get("X-Subject-Token")
}

func (m multitude) validate(i int) {
	ask(m.b, "GET", m.URL+"/v3/auth/tokens?nocatalog", m.tokens[i%manyTokens], nil, 200)
}

func (m multitude) rescope(i int) {
	i %= manyTokens
	m.sign(fmt.Sprintf(`"methods":["token"],"token":{"id":%q}`, m.tokens[i]), i)
}

// flood does as much as goes, sixteen at a time.
func (m multitude) flood(what string, act func(int)) {
	defer measure(m.b, what)()
	m.b.SetParallelism(8)
	m.b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			act(i)
		}
	})
}

// pace does so many a second, whether the ones before are answered or not, and
// says how long the slowest of a hundred took.
func (m multitude) pace(rate int, act func(int)) {
	var mu sync.Mutex // guards took
	var took []time.Duration
	var asking sync.WaitGroup
	defer measure(m.b, "answers")()
	began := time.Now()
	for i := range m.b.N {
		due := began.Add(time.Duration(i) * time.Second / time.Duration(rate))
		<-time.After(time.Until(due))
		asking.Go(func() {
			act(i)
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(due))
		})
	}
	asking.Wait()
	slices.Sort(took)
	m.b.ReportMetric(took[len(took)*99/100].Seconds()*1000, "ms-p99")
}

func BenchmarkTokensOfMany(b *testing.B) {
	m := newMultitude(b)
	for _, c := range []struct {
		name string
		rate int // half of the aim
		act  func(*multitude, int)
	}{
		{"validate", 5000, func(m *multitude, i int) { m.validate(i) }},
		{"rescope", 2500, func(m *multitude, i int) { m.rescope(i) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			m := m
			m.b = b
			m.flood("tokens", func(i int) { c.act(&m, i) })
		})
		b.Run(c.name+"-paced", func(b *testing.B) {
			m := m
			m.b = b
			m.pace(c.rate, func(i int) { c.act(&m, i) })
		})
	}
}

// A role that is given, and one that is taken away, at one server: from the answer
// until the other server knows. Taking it away ends the user's tokens.
func BenchmarkRoleChange(b *testing.B) {
	wide()
	cloud := testcloud.Start(b, testcloud.Servers(2))
	admin, demo := cloud.Admin(), cloud.Demo()
	user := made(b, admin, "GET", "/identity/v3/users?name=demo", "users", nil)
	role := made(b, admin, "POST", "/identity/v3/roles", "role", map[string]any{"role": map[string]any{"name": "short"}})
	project, operator := demo.Project(b), admin.Token()
	grant := cloud.URLs[0] + "/identity/v3/projects/" + project + "/users/" + user + "/roles/" + role
	at := func(method, url string, until func(status int, text string) bool) time.Duration {
		token := signed(b, cloud.URLs[1], fmt.Sprintf(`"methods":["password"],"password":{"user":{"id":%q,"password":%q}}`, user, cloud.App.Secrets.Demo), project)
		ask(b, method, grant, operator, nil, 204)
		began := time.Now()
		await.Until(b, "the other server to know", 10*time.Second, func() bool {
			r, err := http.NewRequest("GET", url, nil)
			if err != nil {
				b.Fatal(err)
			}
			r.Header.Set("X-Auth-Token", token)
			r.Header.Set("X-Subject-Token", token)
			reply, err := http.DefaultClient.Do(r)
			if err != nil {
				b.Fatal(err)
			}
			defer reply.Body.Close()
			text, err := io.ReadAll(reply.Body)
			if err != nil {
				b.Fatal(err)
			}
			return until(reply.StatusCode, string(text))
		})
		return time.Since(began)
	}
	var took []time.Duration
	other := cloud.URLs[1] + "/identity/v3/auth/tokens"
	b.ResetTimer()
	for range b.N {
		took = append(took,
			at("PUT", other, func(_ int, text string) bool { return strings.Contains(text, role) }),
			at("DELETE", other, func(status int, _ string) bool { return status == http.StatusUnauthorized }))
	}
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2].Seconds()*1000, "ms-p50")
	b.ReportMetric(took[len(took)-1].Seconds()*1000, "ms-max")
}
