package identity

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"testing"
	"time"
)

const signSecret = "uV3F3YluFJax1cknvbcGwgjvx4QpvB+leU8dUj2o"

func with(base map[string]string, more ...string) map[string]string {
	out := maps.Clone(base)
	for i := 0; i < len(more); i += 2 {
		out[more[i]] = more[i+1]
	}
	return out
}

func hashOf(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}

// The signatures were made by python-keystoneclient 5.0.1 of the same requests.
func TestSignaturesAreThoseOfOtherClients(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC)
	old := map[string]string{"AWSAccessKeyId": "AK", "Timestamp": "2026-12-01T08:00:00Z", "Action": "DescribeInstances", "SignatureVersion": "0"}
	odd := with(old, "SignatureVersion", "1", "Zeta", "a b", "alpha", "x/y~z")
	headers := map[string]string{
		"authorization": "AWS4-HMAC-SHA256 Credential=AK/20261201/us-east-1/iam/aws4_request,SignedHeaders=content-type;host;x-amz-date,Signature=x",
		"x-amz-date":    "20261201T080000Z", "content-type": "application/x-www-form-urlencoded; charset=utf-8", "host": "h:8773",
	}
	inQuery := map[string]string{
		"X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": "AK/20261201/us-east-1/iam/aws4_request",
		"X-Amz-Date": "20261201T080000Z", "X-Amz-SignedHeaders": "host", "Action": "ListUsers",
	}
	for name, r := range map[string]SignedRequest{
		"version 0": {Verb: "GET", Path: "/", Params: old, Signature: "NSAtE7KQZb6CJzfdGooxX0JCI7w="},
		"version 1": {Verb: "GET", Path: "/", Params: odd, Signature: "cKKTnJn4sLr7v2KpU6BaQu1KnB8="},
		"version 2": {Verb: "GET", Path: "/services/Cloud", Params: with(odd, "SignatureVersion", "2"), Signature: "Xf0gJdHNWIq/kaVcB0rQqlQRQi2EOX6T+i6Yze7UKk4="},
		"version 2 without port": {Verb: "GET", Path: "/services/Cloud", Params: with(odd, "SignatureVersion", "2"),
			Signature: "YtAIds/bA734KghQyKqyCfO2zOQ2WnwlqhAA9K3hp5I="},
		"version 4 post": {Verb: "POST", Path: "/", Params: map[string]string{"Action": "ListUsers"}, Headers: headers, BodyHash: hashOf("Action=ListUsers"),
			Signature: "dafa1ab65357c387609247d1188f9a9c42da60a444b9cacc1ae97fd9412fcc0c"},
		"version 4 get": {Verb: "GET", Path: "/", Params: map[string]string{"Action": "List Users", "b": "~x"}, Headers: headers, BodyHash: hashOf(""),
			Signature: "bbbdecab5a00cba1e89c9d1e599f02ddca04b7259c95b150bf051db1c24895b4"},
		"version 4 in the query": {Verb: "GET", Path: "/", Params: inQuery, Headers: map[string]string{"host": "h:8773"}, BodyHash: hashOf(""),
			Signature: "d984c0d6be69c0590c93205c8ca3322bbd50f72cd1e63ca8a3cddaf1daa97b8b"},
	} {
		r.Access, r.Host = "AK", "h:8773"
		got, err := r.verify(signSecret)
		if err != nil || !got.Equal(at) {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, at)
		}
		_, err = r.verify(signSecret + "x")
		if err == nil {
			t.Errorf("%s: another secret fits too", name)
		}
		r.Params = with(r.Params, "Action", "Other", "Timestamp", "2026-12-01T08:00:01Z")
		r.BodyHash = hashOf("other")
		_, err = r.verify(signSecret)
		if err == nil {
			t.Errorf("%s: it holds for another request too", name)
		}
	}
	got, err := s3Signature("GET\n\n\nTue, 01 Dec 2026 08:00:00 +0000\n/b/k", signSecret)
	if err != nil || got != "yuX4ptVhzp3P51+RIX92KC0FYg8=" {
		t.Errorf("S3 version 2: got %q, %v", got, err)
	}
}

func TestMalformedSignaturesAreRefused(t *testing.T) {
	t.Parallel()
	scope := "AWS4-HMAC-SHA256 Credential=AK/20261201/us-east-1/iam/aws4_request,SignedHeaders=host,Signature=x"
	for name, r := range map[string]SignedRequest{
		"nothing":        {},
		"no signature":   {Params: map[string]string{"SignatureVersion": "2"}},
		"version 3":      {Signature: "x", Params: map[string]string{"SignatureVersion": "3"}},
		"no version":     {Signature: "x", Params: map[string]string{}},
		"no date":        {Signature: "x", Headers: map[string]string{"authorization": scope}},
		"another date":   {Signature: "x", Headers: map[string]string{"authorization": scope, "x-amz-date": "20261202T080000Z"}},
		"another access": {Access: "BK", Signature: "x", Headers: map[string]string{"authorization": scope, "x-amz-date": "20261201T080000Z"}},
		"bad time":       {Signature: "x", Params: map[string]string{"SignatureVersion": "2", "Timestamp": "yesterday"}},
	} {
		if r.Access == "" {
			r.Access = "AK"
		}
		_, err := r.verify(signSecret)
		if err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	for _, text := range []string{"AWS4", "AWS4-HMAC-SHA256\n1\n2\n3", "AWS4-HMAC-SHA256\nd\n20261201/r/ec2/aws4_request\nh"} {
		_, err := s3Signature(text, signSecret)
		if err == nil {
			t.Errorf("%q was signed", text)
		}
	}
}
