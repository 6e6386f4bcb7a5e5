package app_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"nacre/internal/testcloud"
)

// accessKey makes an EC2 credential in the project that the user is in.
func accessKey(t testing.TB, u testcloud.User) (access, secret string) {
	t.Helper()
	var token struct {
		Token struct {
			User, Project struct{ ID string }
		}
	}
	u.Must(t, 200, "GET", "/identity/v3/auth/tokens", nil, "X-Subject-Token", u.Token()).JSON(t, &token)
	var made struct {
		Credential struct{ Access, Secret string }
	}
	u.Must(t, 201, "POST", "/identity/v3/users/"+token.Token.User.ID+"/credentials/OS-EC2", map[string]any{"tenant_id": token.Token.Project.ID}).JSON(t, &made)
	return made.Credential.Access, made.Credential.Secret
}

// TestS3 writes by S3 with a key that identity keeps, and reads by Swift.
func TestS3(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(1))
	demo := cloud.Demo()
	access, secret := accessKey(t, demo)
	client := func(secret string) *minio.Client {
		c, err := minio.New(strings.TrimPrefix(cloud.S3, "http://"), &minio.Options{Creds: credentials.NewStaticV4(access, secret, "")})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	s3 := client(secret)
	err := s3.MakeBucket(t.Context(), "box", minio.MakeBucketOptions{})
	if err == nil {
		_, err = s3.PutObject(t.Context(), "box", "a//b", strings.NewReader("by S3"), 5, minio.PutObjectOptions{UserMetadata: map[string]string{"Color": "red"}})
	}
	if err != nil {
		t.Fatal(err)
	}
	var own struct {
		Token struct{ Project struct{ ID string } }
	}
	demo.Must(t, 200, "GET", "/identity/v3/auth/tokens", nil, "X-Subject-Token", demo.Token()).JSON(t, &own)
	account := "/v1/AUTH_" + own.Token.Project.ID
	got := demo.Must(t, 200, "GET", account+"/box/a//b", nil)
	if string(got.Body) != "by S3" || got.Header.Get("X-Object-Meta-Color") != "red" {
		t.Errorf("Swift reads %q, %v", got.Body, got.Header)
	}
	demo.Must(t, 201, "PUT", account+"/box/swift", map[string]any{"by": "Swift"})
	back, err := s3.GetObject(t.Context(), "box", "swift", minio.GetObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(back)
	if err != nil || string(text) != `{"by":"Swift"}` {
		t.Errorf("S3 reads %q, %v", text, err)
	}
	_, err = client("wrong").ListBuckets(t.Context())
	if minio.ToErrorResponse(err).Code != "SignatureDoesNotMatch" {
		t.Errorf("a wrong secret gives %v", err)
	}
	// Whoever loses the key or is disabled is out at once.
	admin := cloud.Admin()
	user := made(t, admin, "GET", "/identity/v3/users?name=demo", "users", nil)
	admin.Must(t, 200, "PATCH", "/identity/v3/users/"+user, map[string]any{"user": map[string]any{"enabled": false}})
	_, err = s3.ListBuckets(t.Context())
	if minio.ToErrorResponse(err).Code != "AccessDenied" {
		t.Errorf("a disabled user gets %v", err)
	}
	admin.Must(t, 200, "PATCH", "/identity/v3/users/"+user, map[string]any{"user": map[string]any{"enabled": true}})
	_, err = s3.ListBuckets(t.Context())
	if err != nil {
		t.Errorf("enabled again: %v", err)
	}
	admin.Must(t, 204, "DELETE", "/identity/v3/users/"+user+"/credentials/OS-EC2/"+access, nil)
	_, err = s3.ListBuckets(t.Context())
	if minio.ToErrorResponse(err).Code != "InvalidAccessKeyId" {
		t.Errorf("a deleted key gives %v", err)
	}
}

// Without a signature no route of S3 answers.
func TestEveryRouteOfS3WantsASignature(t *testing.T) {
	t.Parallel()
	cloud := testcloud.Start(t, testcloud.Nodes(1))
	asked := 0
	for _, s := range cloud.App.S3.Services() {
		for _, r := range s.Routes {
			path := parameter.ReplaceAllString(r.Path, "x")
			if strings.HasPrefix(r.Variant, "?") {
				query, _, _ := strings.Cut(r.Variant, " ")
				path += query
			}
			request, err := http.NewRequest(r.Method, cloud.S3+path, strings.NewReader("<x/>"))
			if err != nil {
				t.Fatal(err)
			}
			reply, err := http.DefaultTransport.RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			reply.Body.Close()
			asked++
			if reply.StatusCode != http.StatusForbidden {
				t.Errorf("%s %s: got %d without a signature, want 403", r.Method, r.Reference(), reply.StatusCode)
			}
		}
	}
	if asked < 50 {
		t.Errorf("only %d routes were asked", asked)
	}
}
