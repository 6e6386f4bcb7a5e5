package api_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"nacre/internal/errs"
	"nacre/internal/identity"
)

func quoted(text string) string { return fmt.Sprintf("%q", text) }

func TestCredentials(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	me, project := c.find(t, admin, "users", "demo"), c.find(t, admin, "projects", "demo")
	them := c.find(t, admin, "users", "admin")
	body := func(user, kind, blob, more string) string {
		return fmt.Sprintf(`{"credential":{"user_id":%q,"type":%q,"blob":%q%s}}`, user, kind, blob, more)
	}
	made := c.call(t, "POST", "/v3/credentials", demo, body(me, "cert", "secret-blob", `,"nick":"n"`)).want(201)
	id := made.text("credential", "id")
	c.golden(t, "credential", made.body)
	hashed := sha256.Sum256([]byte("AK"))
	ec2 := c.call(t, "POST", "/v3/credentials", demo, body(me, "ec2", `{"access":"AK","secret":"s3cr3t"}`, `,"project_id":"`+project+`"`)).want(201)
	if ec2.text("credential", "id") != hex.EncodeToString(hashed[:]) {
		t.Errorf("an access key has the id %s", ec2.text("credential", "id"))
	}
	theirs := c.create(t, admin, "credentials", "credential", map[string]any{"user_id": them, "type": "cert", "blob": "x"})

	c.call(t, "PATCH", "/v3/credentials/"+id, demo, `{"credential":{"blob":"other","project_id":null,"nick":"m"}}`).want(200)
	shown := c.call(t, "GET", "/v3/credentials/"+id, demo, "").want(200)
	if shown.text("credential", "blob") != "other" || shown.text("credential", "nick") != "m" {
		t.Errorf("the change is lost: %s", shown.body)
	}
	for query, want := range map[string]int{"": 2, "?type=ec2": 1, "?user_id=" + me: 2, "?user_id=" + them: 0, "?type=none": 0} {
		got := c.call(t, "GET", "/v3/credentials"+query, demo, "").want(200).names("credentials", "id")
		if len(got) != want {
			t.Errorf("the user sees %d credentials with %q, want %d", len(got), query, want)
		}
	}
	for _, test := range []struct {
		token, method, path, body string
		status                    int
	}{
		{demo, "GET", "/credentials/" + theirs, "", 403},
		{demo, "GET", "/credentials/ghost", "", 403},
		{admin, "GET", "/credentials/ghost", "", 404},
		{demo, "DELETE", "/credentials/" + theirs, "", 403},
		{demo, "POST", "/credentials", body(them, "cert", "x", ""), 403},
		{demo, "PATCH", "/credentials/" + id, `{"credential":{"user_id":"` + them + `"}}`, 403},
		{demo, "POST", "/credentials", body(me, "ec2", `{"access":"AK2","secret":"s"}`, ""), 400},
		{demo, "POST", "/credentials", body(me, "ec2", `no json`, `,"project_id":"p"`), 400},
		{demo, "POST", "/credentials", body(me, "ec2", `{"access":7}`, `,"project_id":"p"`), 400},
		{demo, "POST", "/credentials", body(me, "EC2", `{}`, `,"project_id":"p"`), 400},
		{demo, "POST", "/credentials", body(me, "ec2", `{"access":"AK","secret":"s"}`, `,"project_id":"`+project+`"`), 409},
		{demo, "POST", "/credentials", `{"credential":{"user_id":"` + me + `"}}`, 400},
		{demo, "POST", "/credentials", `{}`, 400},
		{demo, "PATCH", "/credentials/" + id, `{"credential":{}}`, 400},
		{demo, "PATCH", "/credentials/" + id, `{"credential":{"type":"ec2"}}`, 400},
		{demo, "PATCH", "/credentials/" + ec2.text("credential", "id"), `{"credential":{"blob":"{\"access\":\"AK\",\"secret\":\"s\",\"trust_id\":\"t\"}"}}`, 400},
		{demo, "PATCH", "/credentials/" + ec2.text("credential", "id"), `{"credential":{"blob":"{\"access\":\"BK\",\"secret\":\"s\"}"}}`, 200},
		{demo, "PATCH", "/credentials/" + ec2.text("credential", "id"), `{"credential":{"blob":"{\"access\":\"AK\",\"secret\":\"t\"}"}}`, 200},
		{demo, "DELETE", "/credentials/" + id, "", 204},
		{demo, "DELETE", "/credentials/" + id, "", 403},
	} {
		r := c.call(t, test.method, "/v3"+test.path, test.token, test.body)
		if r.status != test.status {
			t.Errorf("%s %s %s: got %d, want %d: %s", test.method, test.path, test.body, r.status, test.status, r.body)
		}
	}
	_, err := c.service.EC2Credential(t.Context(), "BK")
	if !errs.Is(err, errs.NotFound) {
		t.Errorf("the former access key gives %v", err)
	}
	got, err := c.service.EC2Credential(t.Context(), "AK")
	if err != nil || got.Secret != "t" || got.User != me || got.Project != project {
		t.Errorf("the access key is %+v, %v", got, err)
	}
}

// signed is the body of an ec2tokens call, signed with version 2.
func signed(access, secret string, at time.Time) string {
	params := map[string]string{"SignatureVersion": "2", "SignatureMethod": "HmacSHA256", "AWSAccessKeyId": access, "Timestamp": at.UTC().Format(time.RFC3339)}
	values := url.Values{}
	var fields []string
	for name, value := range params {
		values.Set(name, value)
		fields = append(fields, quoted(name)+":"+quoted(value))
	}
	m := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(m, "GET\nhost\n/\n%s", values.Encode())
	return fmt.Sprintf(`{"credentials":{"access":%q,"signature":%q,"host":"host","verb":"GET","path":"/","params":{%s}}}`,
		access, base64.StdEncoding.EncodeToString(m.Sum(nil)), strings.Join(fields, ","))
}

func TestEC2Credentials(t *testing.T) {
	t.Parallel()
	c := start(t)
	admin, demo := c.admin(t), c.demo(t)
	me, project := c.find(t, admin, "users", "demo"), c.find(t, admin, "projects", "demo")
	them := c.find(t, admin, "users", "admin")
	mine := "/v3/users/" + me + "/credentials/OS-EC2"
	made := c.call(t, "POST", mine, demo, `{"tenant_id":"`+project+`"}`).want(201)
	access, secret := made.text("credential", "access"), made.text("credential", "secret")
	if made.text("credential", "user_id") != me || made.text("credential", "tenant_id") != project {
		t.Errorf("made %s", made.body)
	}
	if len(c.call(t, "GET", mine, demo, "").want(200).names("credentials", "access")) != 1 {
		t.Errorf("the list has not the one key")
	}
	if c.call(t, "GET", mine+"/"+access, demo, "").want(200).text("credential", "secret") != secret {
		t.Errorf("the secret is another one when shown")
	}
	for _, test := range []struct {
		token, method, path, body string
		status                    int
	}{
		{demo, "POST", "/v3/users/" + them + "/credentials/OS-EC2", `{"tenant_id":"` + project + `"}`, 403},
		{demo, "GET", "/v3/users/" + them + "/credentials/OS-EC2", "", 403},
		{demo, "POST", mine, `{}`, 400},
		{demo, "POST", mine, `{"tenant_id":"ghost"}`, 404},
		{demo, "GET", mine + "/ghost", "", 404},
		{admin, "GET", "/v3/users/" + them + "/credentials/OS-EC2/" + access, "", 404},
		{admin, "GET", "/v3/users/ghost/credentials/OS-EC2", "", 404},
		{demo, "POST", "/v3/ec2tokens", signed(access, secret, c.clock.Now()), 403},
		{"", "POST", "/v3/ec2tokens", signed(access, secret, c.clock.Now()), 401},
		{"", "POST", "/v3/s3tokens", `{}`, 401},
		{admin, "POST", "/v3/ec2tokens", signed(access, "wrong", c.clock.Now()), 401},
		{admin, "POST", "/v3/ec2tokens", signed("ghost", secret, c.clock.Now()), 404},
		{admin, "POST", "/v3/ec2tokens", signed(access, secret, c.clock.Now().Add(-16*time.Minute)), 401},
		{admin, "POST", "/v3/ec2tokens", signed(access, secret, c.clock.Now().Add(16*time.Minute)), 401},
		{admin, "POST", "/v3/ec2tokens", `{}`, 400},
		{admin, "POST", "/v3/ec2tokens", `{"credentials":{}}`, 401},
		{admin, "POST", "/v3/ec2tokens", `{"credentials":{"access":"` + access + `"}}`, 401},
		{admin, "POST", "/v3/s3tokens", `{"credentials":{"access":"` + access + `","token":"!","signature":"x"}}`, 400},
		{admin, "POST", "/v3/s3tokens", `{"credentials":{"access":"` + access + `","token":"R0VU","signature":"x"}}`, 401},
	} {
		r := c.call(t, test.method, test.path, test.token, test.body)
		if r.status != test.status {
			t.Errorf("%s %s %s: got %d, want %d: %s", test.method, test.path, test.body, r.status, test.status, r.body)
		}
	}

	issued := c.call(t, "POST", "/v3/ec2tokens", admin, signed(access, secret, c.clock.Now())).want(200)
	c.golden(t, "token_ec2", issued.body)
	own := issued.header.Get("X-Subject-Token")
	c.call(t, "GET", "/v3/auth/tokens", own, "", "X-Subject-Token", own).want(200)
	text := "GET\n\n\n\nx-amz-date:Tue, 01 Dec 2026 08:00:00 +0000\n/b/k"
	m := hmac.New(sha1.New, []byte(secret))
	m.Write([]byte(text))
	s3 := c.call(t, "POST", "/v3/s3tokens", admin, fmt.Sprintf(`{"credentials":{"access":%q,"token":%q,"signature":%q}}`,
		access, base64.URLEncoding.EncodeToString([]byte(text)), base64.StdEncoding.EncodeToString(m.Sum(nil)))).want(200)
	if s3.text("token", "user", "id") != me || s3.header.Get("X-Subject-Token") != "" {
		t.Errorf("S3 got %v %s", s3.header, s3.body)
	}
	caller, err := c.service.EC2Caller(t.Context(), identity.EC2Credential{Access: access, User: me, Project: project})
	if err != nil || caller.UserName != "demo" || caller.Project != project || !caller.Has("member") {
		t.Errorf("the caller is %+v, %v", caller, err)
	}

	// Whoever is disabled signs nothing any more, at once.
	c.call(t, "PATCH", "/v3/users/"+me, admin, `{"user":{"enabled":false}}`).want(200)
	c.call(t, "POST", "/v3/ec2tokens", admin, signed(access, secret, c.clock.Now())).want(401)
	_, err = c.service.EC2Caller(t.Context(), identity.EC2Credential{Access: access, User: me, Project: project})
	if !errs.Is(err, errs.Unauthorized) {
		t.Errorf("a disabled user's key gives %v", err)
	}
	c.call(t, "DELETE", "/v3/users/"+me, admin, "").want(204)
	_, err = c.service.EC2Credential(t.Context(), access)
	if !errs.Is(err, errs.NotFound) {
		t.Errorf("the key of a deleted user gives %v", err)
	}
}
