// Package directorytest runs LDAP servers for tests: OpenLDAP's slapd as a
// process of the test's own, with its data in a folder of the test's own, and
// Fake, a server that says whatever a test wants to hear it say.
package directorytest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"nacre/internal/await"
)

// Where everything is below, and who may read it.
const (
	Suffix        = "dc=example,dc=org"
	Users         = "ou=users," + Suffix
	Groups        = "ou=groups," + Suffix
	AdminDN       = "cn=admin," + Suffix
	AdminPassword = "admin-secret"
)

// settings are those of slapd. Reading needs a password, as in most companies;
// two attributes stand for those that other directories have.
const settings = `
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
attributetype ( 1.3.6.1.4.1.4203.666.1.1 NAME 'accountEnabled' EQUALITY booleanMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.7 SINGLE-VALUE )
attributetype ( 1.3.6.1.4.1.4203.666.1.2 NAME 'accountControl' EQUALITY integerMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
attributetype ( 1.3.6.1.4.1.4203.666.1.3 NAME 'accountGUID' EQUALITY octetStringMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 SINGLE-VALUE )
objectclass ( 1.3.6.1.4.1.4203.666.2.1 NAME 'account2' AUXILIARY MAY ( accountEnabled $ accountControl $ accountGUID ) )
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload ppolicy
threads 4
%s
database mdb
suffix "` + Suffix + `"
rootdn "` + AdminDN + `"
rootpw ` + AdminPassword + `
directory %s
maxsize 268435456
dbnosync
index objectClass,uid,cn,member eq
access to attrs=userPassword by anonymous auth by * none
access to * by users read by anonymous auth by * none
overlay ppolicy
ppolicy_default "cn=policy,` + Suffix + `"
`

const tree = `dn: ` + Suffix + `
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: ` + Users + `
objectClass: organizationalUnit
ou: users

dn: ` + Groups + `
objectClass: organizationalUnit
ou: groups

dn: cn=policy,` + Suffix + `
objectClass: person
objectClass: pwdPolicy
cn: policy
sn: policy
pwdAttribute: userPassword
pwdLockout: TRUE
pwdMaxFailure: 0

`

// Server is a running slapd.
type Server struct {
	Local  string // URL of its socket
	URL    string // and over TCP
	Secure string // and with TLS, if it was started with it
	CA     string // file of the certificate that has signed its own

	folder string
	cmd    *exec.Cmd
	ended  chan struct{}
}

// Start starts a server with the entries of an LDIF text below the suffix.
func Start(t testing.TB, ldif string) *Server { return start(t, ldif, false) }

// StartTLS is Start with a certificate for localhost and 127.0.0.1.
func StartTLS(t testing.TB, ldif string) *Server { return start(t, ldif, true) }

func start(t testing.TB, ldif string, secure bool) *Server {
	t.Helper()
	folder, err := os.MkdirTemp("", "slapd") // paths of sockets must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	s := &Server{folder: folder, Local: "ldapi://" + url.PathEscape(filepath.Join(folder, "socket")), URL: "ldap://" + freeAddress(t)}
	certificates := ""
	if secure {
		s.Secure = "ldaps://" + freeAddress(t)
		certificates = s.certificates(t)
	}
	data := filepath.Join(folder, "data")
	err = os.Mkdir(data, 0o700)
	if err == nil {
		err = os.WriteFile(s.file("slapd.conf"), fmt.Appendf(nil, settings, certificates, data), 0o600)
	}
	if err == nil {
		err = os.WriteFile(s.file("tree.ldif"), []byte(tree+ldif), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.run(t, "slapadd", "-q", "-f", s.file("slapd.conf"), "-l", s.file("tree.ldif"))
	s.Run(t)
	t.Cleanup(func() { s.Stop(t) })
	return s
}

func (s *Server) file(name string) string { return filepath.Join(s.folder, name) }

func program(t testing.TB, name string) string {
	t.Helper()
	path := "/usr/sbin/" + name
	_, err := os.Stat(path)
	if err != nil {
		t.Fatalf("%v: install the Debian package slapd, as build/packages.sh test does", err)
	}
	return path
}

func (s *Server) run(t testing.TB, name string, args ...string) {
	t.Helper()
	output, err := exec.Command(program(t, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", name, err, output)
	}
}

// freeAddress finds a port on loopback that nobody listens on.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Run starts a server that was stopped, where it was.
func (s *Server) Run(t testing.TB) {
	t.Helper()
	urls := strings.TrimSpace(s.Local + " " + s.URL + " " + s.Secure)
	var log bytes.Buffer
	s.cmd = exec.Command(program(t, "slapd"), "-d", "0", "-f", s.file("slapd.conf"), "-h", urls)
	s.cmd.Stdout, s.cmd.Stderr = &log, &log
	err := s.cmd.Start()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	s.ended = ended
	go func() {
		defer close(ended)
		_ = s.cmd.Wait()
	}()
	address := strings.TrimPrefix(s.URL, "ldap://")
	await.Until(t, "slapd listens", 20*time.Second, func() bool {
		select {
		case <-ended:
			t.Fatalf("slapd ended: %s", log.String())
		default:
		}
		conn, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// Stop ends the server.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	_ = s.cmd.Process.Kill() // it may have ended
	<-s.ended
}

// Change lets the administrator of the directory change something in it.
func (s *Server) Change(t testing.TB, change func(c *ldap.Conn) error) {
	t.Helper()
	c, err := ldap.DialURL(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	err = c.Bind(AdminDN, AdminPassword)
	if err == nil {
		err = change(c)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Set replaces the values of an attribute; without any it takes it away.
func (s *Server) Set(t testing.TB, dn, attribute string, values ...string) {
	t.Helper()
	s.Change(t, func(c *ldap.Conn) error {
		r := ldap.NewModifyRequest(dn, nil)
		r.Replace(attribute, values)
		return c.Modify(r)
	})
}

// Delete removes an entry.
func (s *Server) Delete(t testing.TB, dn string) {
	t.Helper()
	s.Change(t, func(c *ldap.Conn) error { return c.Del(ldap.NewDelRequest(dn, nil)) })
}

// Add adds an entry; attributes are names and values by turns.
func (s *Server) Add(t testing.TB, dn string, attributes ...string) {
	t.Helper()
	s.Change(t, func(c *ldap.Conn) error {
		r := ldap.NewAddRequest(dn, nil)
		values, order := map[string][]string{}, []string{}
		for i := 0; i+1 < len(attributes); i += 2 {
			if values[attributes[i]] == nil {
				order = append(order, attributes[i])
			}
			values[attributes[i]] = append(values[attributes[i]], attributes[i+1])
		}
		for _, name := range order {
			r.Attribute(name, values[name])
		}
		return c.Add(r)
	})
}
