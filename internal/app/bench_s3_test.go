package app_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"nacre/internal/testcloud"
)

// bucket is where a client that signs with version 4 writes and reads.
const bucket = "bench"

// s3Stage makes the bucket and gives the client.
func s3Stage(b *testing.B) *minio.Client {
	wide()
	cloud := testcloud.Start(b)
	access, secret := accessKey(b, cloud.Demo())
	client, err := minio.New(strings.TrimPrefix(cloud.S3, "http://"), &minio.Options{Creds: credentials.NewStaticV4(access, secret, "")})
	if err == nil {
		err = client.MakeBucket(b.Context(), bucket, minio.MakeBucketOptions{})
	}
	if err != nil {
		b.Fatal(err)
	}
	return client
}

// Objects of 4 KiB by S3, each on disk with its row before the answer.
func BenchmarkS3Put(b *testing.B) {
	client := s3Stage(b)
	body := bytes.Repeat([]byte("x"), 4096)
	var n atomic.Int64
	defer measure(b, "objects")()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_, err := client.PutObject(b.Context(), bucket, fmt.Sprintf("o%09d", n.Add(1)), bytes.NewReader(body), 4096, minio.PutObjectOptions{})
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// An object of 1 MiB, read whole by S3.
func BenchmarkS3Get(b *testing.B) {
	const size = 1 << 20
	client := s3Stage(b)
	_, err := client.PutObject(b.Context(), bucket, "o", bytes.NewReader(bytes.Repeat([]byte("x"), size)), size, minio.PutObjectOptions{})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(size)
	defer measure(b, "objects")()
	for range b.N {
		object, err := client.GetObject(b.Context(), bucket, "o", minio.GetObjectOptions{})
		if err != nil {
			b.Fatal(err)
		}
		n, err := io.Copy(io.Discard, object)
		if err != nil || n != size {
			b.Fatalf("read %d bytes: %v", n, err)
		}
		_ = object.Close()
	}
}
