package soak

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// bucket is a container of the object store, by S3.
type bucket struct {
	name           string
	access, secret string
	owner          string // user id
}

// newBucket makes an access key to a container of the project that the user's
// clients are in.
func newBucket(t testing.TB, admin, demo *Client, container, project string) bucket {
	t.Helper()
	var users []struct{ ID string }
	admin.List(t, "/v3/users?name="+demo.user, "users", &users)
	var made struct {
		Credential struct{ Access, Secret string }
	}
	demo.Must(t, "POST", keysOf(users[0].ID), map[string]any{"tenant_id": project}, http.StatusCreated, &made)
	return bucket{name: container, access: made.Credential.Access, secret: made.Credential.Secret, owner: users[0].ID}
}

func keysOf(user string) string { return "/v3/users/" + user + "/credentials/OS-EC2" }

// remove takes the access key back.
func (b bucket) remove(t testing.TB, demo *Client) {
	t.Helper()
	demo.Must(t, "DELETE", keysOf(b.owner)+"/"+b.access, nil, http.StatusNoContent, nil)
}

// partSize is the least that every part of an upload but the last may have.
const partSize = 5 << 20

// S3 puts, gets or deletes an object. More than a part's size is put in parts. It
// answers as Do does, with S3's statuses.
func (c *Client) S3(b bucket, kind, name string, body []byte) (status int, reply []byte, err error) {
	server, at := c.server()
	store, err := c.store(b, server)
	if err != nil {
		return 0, nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	status = http.StatusOK
	switch {
	case kind == "get":
		reply, err = b.get(ctx, store, name)
	case kind == "delete":
		status = http.StatusNoContent
		err = store.RemoveObject(ctx, b.name, name, minio.RemoveObjectOptions{})
	case len(body) > partSize:
		err = b.putParts(ctx, store, name, body)
	default:
		_, err = store.PutObject(ctx, b.name, name, bytes.NewReader(body), int64(len(body)), "", "", minio.PutObjectOptions{})
	}
	if err == nil {
		return status, reply, nil
	}
	status, err = refusedBy(err)
	if err != nil {
		c.next(at)
	}
	return status, nil, err
}

// store is a client of a server that asks once, since what is asked twice may
// have its effect twice. S3 is at the port behind the server's own.
func (c *Client) store(b bucket, server string) (*minio.Core, error) {
	u, err := url.Parse(server)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		return nil, fmt.Errorf("port of %s: %w", server, err)
	}
	return minio.NewCore(net.JoinHostPort(u.Hostname(), strconv.Itoa(port+1)), &minio.Options{
		Creds: credentials.NewStaticV4(b.access, b.secret, ""), Secure: u.Scheme == "https", Transport: c.http.Transport,
		Region: "us-east-1", BucketLookup: minio.BucketLookupPath, MaxRetries: 1,
	})
}

func (b bucket) get(ctx context.Context, store *minio.Core, name string) ([]byte, error) {
	content, _, _, err := store.GetObject(ctx, b.name, name, minio.GetObjectOptions{})
	if err != nil {
		return nil, err
	}
	defer content.Close()
	return io.ReadAll(content)
}

// putParts sends an object in two parts. Nothing has happened to the object before
// the upload is completed: what fails earlier was not asked for.
func (b bucket) putParts(ctx context.Context, store *minio.Core, name string, body []byte) error {
	id, err := store.NewMultipartUpload(ctx, b.name, name, minio.PutObjectOptions{})
	if err != nil {
		return errors.Join(err, errNotAsked)
	}
	var parts []minio.CompletePart
	for i, content := range [][]byte{body[:partSize], body[partSize:]} {
		part, err := store.PutObjectPart(ctx, b.name, name, id, i+1, bytes.NewReader(content), int64(len(content)), minio.PutObjectPartOptions{})
		if err != nil {
			return errors.Join(err, errNotAsked)
		}
		parts = append(parts, minio.CompletePart{PartNumber: part.PartNumber, ETag: part.ETag})
	}
	_, err = store.CompleteMultipartUpload(ctx, b.name, name, id, parts, minio.PutObjectOptions{})
	return err
}

// refusedBy is the status of an error that a server answered with, or what became
// of a question that was not answered.
func refusedBy(err error) (int, error) {
	var refused minio.ErrorResponse
	answered := errors.As(err, &refused) && refused.StatusCode != 0 && refused.StatusCode != http.StatusServiceUnavailable
	var network *net.OpError
	switch {
	case answered:
		return refused.StatusCode, nil
	case errors.Is(err, errNotAsked), errors.As(err, &network) && network.Op == "dial":
		return 0, errNotAsked
	}
	return 0, errNoAnswer
}
