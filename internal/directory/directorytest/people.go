package directorytest

import (
	"fmt"
	"strings"
)

// Password is that of each user of People.
const Password = "correct horse"

// Person is an entry of a user below Users, by its id.
func Person(uid, surname string, more ...string) string {
	lines := []string{
		"dn: uid=" + uid + "," + Users, "objectClass: inetOrgPerson", "objectClass: account2", "uid: " + uid, "cn: " + uid, "sn: " + surname,
		"mail: " + uid + "@example.org", "userPassword: " + Password,
	}
	return strings.Join(append(lines, more...), "\n") + "\n\n"
}

// Group is an entry of a group below Groups, with its members by their ids.
func Group(cn string, members ...string) string {
	out := "dn: cn=" + cn + "," + Groups + "\nobjectClass: groupOfNames\ncn: " + cn + "\nou: " + cn + "\ndescription: the " + cn + "\n"
	for _, m := range members {
		out += fmt.Sprintf("member: uid=%s,%s\n", m, Users)
	}
	return out + "\n"
}

// People are some users and groups.
var People = Person("alice", "Archer", "description: first") + Person("bob", "Baker") + Person("carol", "Cook", "accountEnabled: FALSE") +
	Group("staff", "alice", "bob", "carol") + Group("operators", "alice")

// Options are the options of a domain whose directory is at the URL.
func Options(url string) map[string]any {
	return map[string]any{
		"url": url, "user": AdminDN, "password": AdminPassword, "suffix": Suffix,
		"user_tree_dn": Users, "user_objectclass": "inetOrgPerson", "user_id_attribute": "uid", "user_name_attribute": "uid",
		"user_enabled_attribute": "accountEnabled",
		"group_tree_dn":          Groups, "group_objectclass": "groupOfNames", "group_id_attribute": "cn", "group_name_attribute": "cn",
	}
}
