package s3

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
)

// The access key of the public reference's examples.
const (
	exampleAccess = "AKIAIOSFODNN7EXAMPLE"
	exampleSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

// example reads a request as it comes over the wire.
func example(t *testing.T, text string) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.ReplaceAll(text, "\n", "\r\n") + "\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// TestPublishedSignatures checks the examples that Amazon publishes.
func TestPublishedSignatures(t *testing.T) {
	credential := "AWS4-HMAC-SHA256 Credential=" + exampleAccess + "/20130524/us-east-1/s3/aws4_request,"
	for name, text := range map[string]string{
		"GET with a range": "GET /test.txt HTTP/1.1\nHost: examplebucket.s3.amazonaws.com\nAuthorization: " + credential +
			"SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41\n" +
			"Range: bytes=0-9\nx-amz-content-sha256: " + emptyHash + "\nx-amz-date: 20130524T000000Z",
		"PUT": "PUT /test$file.text HTTP/1.1\nHost: examplebucket.s3.amazonaws.com\nDate: Fri, 24 May 2013 00:00:00 GMT\nAuthorization: " + credential +
			"SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class,Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd\n" +
			"x-amz-date: 20130524T000000Z\nx-amz-storage-class: REDUCED_REDUNDANCY\nx-amz-content-sha256: 44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
		"GET of a subresource": "GET /?lifecycle HTTP/1.1\nHost: examplebucket.s3.amazonaws.com\nAuthorization: " + credential +
			"SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543\n" +
			"x-amz-date: 20130524T000000Z\nx-amz-content-sha256: " + emptyHash,
		"GET with a query": "GET /?max-keys=2&prefix=J HTTP/1.1\nHost: examplebucket.s3.amazonaws.com\nAuthorization: " + credential +
			"SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7\n" +
			"x-amz-date: 20130524T000000Z\nx-amz-content-sha256: " + emptyHash,
	} {
		r := example(t, text)
		s, err := fromHeader4(r, r.Header.Get("Authorization"))
		if err != nil || s.access != exampleAccess || !s.by(exampleSecret) {
			t.Errorf("%s: the signature is refused: %v", name, err)
		}
		if s.by(exampleSecret + "x") {
			t.Errorf("%s: another secret is taken", name)
		}
	}
	r := example(t, "GET /test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential="+exampleAccess+"%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"+
		"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"+
		" HTTP/1.1\nHost: examplebucket.s3.amazonaws.com")
	s, err := fromQuery4(r, r.URL.Query())
	if err != nil || !s.by(exampleSecret) {
		t.Errorf("the signed URL is refused: %v", err)
	}
	r = example(t, "GET /johnsmith/photos/puppy.jpg HTTP/1.1\nHost: s3.amazonaws.com\nDate: Tue, 27 Mar 2007 19:36:42 +0000\n"+
		"Authorization: AWS "+exampleAccess+":bWq2s1WEIj+Ydj0vQ697zp+IXMU=")
	s, err = fromHeader2(r, r.Header.Get("Authorization"))
	if err != nil || !s.by(exampleSecret) {
		t.Errorf("the signature of version 2 is refused: %v", err)
	}
}

// chunks is the body of the published example of a signed stream.
func chunks(letter string) string {
	return "10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n" + strings.Repeat(letter, 65536) + "\r\n" +
		"400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n" + strings.Repeat("a", 1024) + "\r\n" +
		"0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"
}

func TestPublishedStream(t *testing.T) {
	for name, test := range map[string]struct {
		body string
		ok   bool
	}{
		"as published": {chunks("a"), true}, "another letter": {chunks("b"), false}, "cut off": {chunks("a")[:60_000], false},
		"without its end":  {strings.Replace(chunks("a"), "0;chunk-signature=b6", "0;chunk-signature=c6", 1), false},
		"without a chunk":  {chunks("a")[:strings.Index(chunks("a"), "400;")] + chunks("a")[strings.LastIndex(chunks("a"), "0;chunk"):], false},
		"unsigned":         {"10400\r\n" + strings.Repeat("a", 66560) + "\r\n0\r\n\r\n", false},
		"a size too great": {"ffffffffff;chunk-signature=aa\r\n" + strings.Repeat("a", 70_000), false},
		"a negative size":  {"-1;chunk-signature=aa\r\n", false},
		"an endless head":  {strings.Repeat("1", 100_000), false},
	} {
		r := example(t, "PUT /examplebucket/chunkObject.txt HTTP/1.1\nHost: s3.amazonaws.com\nx-amz-date: 20130524T000000Z\nx-amz-storage-class: REDUCED_REDUNDANCY\n"+
			"Authorization: AWS4-HMAC-SHA256 Credential="+exampleAccess+"/20130524/us-east-1/s3/aws4_request,SignedHeaders=content-encoding;content-length;host;"+
			"x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class,Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9\n"+
			"x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD\nContent-Encoding: aws-chunked\nx-amz-decoded-content-length: 66560\nContent-Length: 66824")
		s, err := fromHeader4(r, r.Header.Get("Authorization"))
		if err != nil || !s.by(exampleSecret) {
			t.Fatalf("the head is refused: %v", err)
		}
		r.Body = io.NopCloser(strings.NewReader(test.body))
		err = s.guard(r, exampleSecret)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r.Body)
		if test.ok != (err == nil && string(got) == strings.Repeat("a", 66560)) {
			t.Errorf("%s: read %d bytes, %v", name, len(got), err)
		}
	}
}
