package identity

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"testing"

	"nacre/internal/db"
)

// A certificate is for the user whom the mapping finds in its names, and for no
// other; nor for everybody of a domain.
func TestWhomACertificateIsFor(t *testing.T) {
	t.Parallel()
	mail := "ann@example.org"
	user, domain := User{ID: "u1", Name: "ann", Email: &mail}, Domain{ID: "d1", Name: "Sales"}
	names := func(parts map[string]string) (n pkix.Name) {
		for oid, value := range parts {
			var id asn1.ObjectIdentifier
			switch oid {
			case "CN":
				id = asn1.ObjectIdentifier{2, 5, 4, 3}
			case "UID":
				id = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}
			case "DC":
				id = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}
			case "EMAILADDRESS":
				id = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
			case "O":
				id = asn1.ObjectIdentifier{2, 5, 4, 10}
			}
			n.Names = append(n.Names, pkix.AttributeTypeAndValue{Type: id, Value: value})
		}
		return n
	}
	const subject = `{"type":"SSL_CLIENT_SUBJECT_DN_`
	whole := `[{"local":[{"user":{"name":"{0}","id":"{1}","email":"{2}","domain":{"name":"{3}","id":"{4}"}}}],"remote":[` +
		subject + `CN"},` + subject + `UID"},` + subject + `EMAILADDRESS"},` + subject + `O"},` + subject + `DC"},{"type":"SSL_CLIENT_ISSUER_DN_CN","any_one_of":["root"]}]}]`
	onlyDomain := `[{"local":[{"user":{"domain":{"id":"{0}"}}}],"remote":[` + subject + `DC"}]}]`
	onlyID := `[{"local":[{"user":{"id":"{0}"}}],"remote":[` + subject + `UID"}]}]`
	right := map[string]string{"CN": "ann", "UID": "u1", "EMAILADDRESS": mail, "O": "Sales", "DC": "d1"}
	but := func(part, value string) map[string]string {
		parts := map[string]string{}
		for key, v := range right {
			parts[key] = v
		}
		parts[part] = value
		return parts
	}
	for name, test := range map[string]struct {
		rules  string
		parts  map[string]string
		issuer string
		want   bool
	}{
		"all right":               {whole, right, "root", true},
		"another issuer":          {whole, right, "toor", false},
		"another name":            {whole, but("CN", "bob"), "root", false},
		"another id":              {whole, but("UID", "u2"), "root", false},
		"another address":         {whole, but("EMAILADDRESS", "bob@example.org"), "root", false},
		"another domain":          {whole, but("DC", "d2"), "root", false},
		"another domain's name":   {whole, but("O", "Support"), "root", false},
		"a part is missing":       {whole, map[string]string{"CN": "ann", "UID": "u1"}, "root", false},
		"a place as a name":       {whole, but("CN", "{1}"), "root", false},
		"by id alone":             {onlyID, map[string]string{"UID": "u1"}, "root", true},
		"by id alone, another":    {onlyID, map[string]string{"UID": "u2"}, "root", false},
		"an empty id":             {onlyID, map[string]string{"UID": ""}, "root", false},
		"only the domain is told": {onlyDomain, right, "root", false},
	} {
		m := Mapping{ID: "oauth2_mapping", SchemaVersion: "1.0", Rules: db.Of(json.RawMessage(test.rules))}
		err := meansUser(m, &x509.Certificate{Subject: names(test.parts), Issuer: names(map[string]string{"CN": test.issuer})}, user, domain)
		if (err == nil) != test.want {
			t.Errorf("%s: got %v, want that it is the user's: %v", name, err, test.want)
		}
	}
}
