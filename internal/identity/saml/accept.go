package saml

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/beevik/etree"
)

// Expected is what a response must be about to be believed.
type Expected struct {
	Now time.Time
	// Audience is who we are, and Recipients the addresses at which we are asked here.
	Audience   string
	Recipients []string
	// Named demands that the assertion names its audience. Keystone's do not;
	// they name the recipient alone.
	Named bool
	// Asked tells whether a request is ours; "" is an answer that nobody asked for.
	Asked func(request string) error
}

// Heard is what an identity provider has said, proven.
type Heard struct {
	ID         string // of the assertion; it is good once
	Issuer     string
	NameID     string
	Attributes map[string][]string
	// Presentable is when the assertion cannot be presented any more, and Until when
	// the user is no longer signed in at the provider; zero: it doesn't say.
	Presentable time.Time
	Until       time.Time
}

// Accept reads a response of a provider and believes it, or says why not.
func (p Provider) Accept(document []byte, want Expected) (Heard, error) {
	root, err := read(document)
	if err != nil {
		return Heard{}, err
	}
	response, assertion, err := shape(root)
	if err != nil {
		return Heard{}, err
	}
	assertion, err = proven(response, assertion, p.Certificates, want.Now)
	if err != nil {
		return Heard{}, err
	}
	err = p.checkResponse(response, want)
	if err != nil {
		return Heard{}, err
	}
	return p.checkAssertion(assertion, want)
}

// checkResponse looks at what surrounds the assertion. It need not be signed, so
// it can only lead to refusal.
func (p Provider) checkResponse(response *etree.Element, want Expected) error {
	status, err := only(response, nsProtocol, "Status")
	if err != nil {
		return err
	}
	code, err := only(status, nsProtocol, "StatusCode")
	if err != nil {
		return err
	}
	if got := attr(code, "Value"); got != success {
		return fmt.Errorf("the provider says %.120q", got)
	}
	if to := attr(response, "Destination"); to != "" && !slices.Contains(want.Recipients, to) {
		return fmt.Errorf("the response is for %.200q", to)
	}
	if len(children(response, nsAssertion, "Issuer")) > 0 {
		return p.checkIssuer(response)
	}
	return nil
}

func (p Provider) checkIssuer(el *etree.Element) error {
	issuer, err := only(el, nsAssertion, "Issuer")
	if err != nil {
		return err
	}
	name, err := text(issuer)
	if err != nil {
		return err
	}
	if name != p.EntityID {
		return fmt.Errorf("%.200q says it, not the provider", name)
	}
	return nil
}

func (p Provider) checkAssertion(a *etree.Element, want Expected) (Heard, error) {
	h := Heard{ID: attr(a, "ID"), Issuer: p.EntityID, Attributes: map[string][]string{}}
	if attr(a, "Version") != "2.0" || !xmlName.MatchString(h.ID) {
		return h, errors.New("it is no assertion of SAML 2.0")
	}
	err := p.checkIssuer(a)
	if err != nil {
		return h, err
	}
	issued, err := instant(a, "IssueInstant")
	if err != nil {
		return h, err
	}
	if issued.IsZero() || issued.After(want.Now.Add(Skew)) {
		return h, errors.New("it was not said yet")
	}
	err = checkConditions(a, want)
	if err != nil {
		return h, err
	}
	err = h.subject(a, want)
	if err != nil {
		return h, err
	}
	err = h.session(a, want)
	if err != nil {
		return h, err
	}
	return h, h.attributes(a)
}

// checkConditions obeys all conditions, and refuses those it doesn't know.
func checkConditions(a *etree.Element, want Expected) error {
	all := children(a, nsAssertion, "Conditions")
	if len(all) > 1 {
		return errors.New("it has conditions twice")
	}
	named := false
	for _, conditions := range all {
		err := within(conditions, want.Now)
		if err != nil {
			return err
		}
		for _, c := range conditions.ChildElements() {
			switch {
			case is(c, nsAssertion, "AudienceRestriction"):
				err = checkAudience(c, want.Audience)
				if err != nil {
					return err
				}
				named = true
			case is(c, nsAssertion, "OneTimeUse"), is(c, nsAssertion, "ProxyRestriction"):
				// Every assertion is used once here, and none is passed on.
			default:
				return fmt.Errorf("it has the condition %.60q, which is not known", c.Tag)
			}
		}
	}
	if want.Named && !named {
		return errors.New("it does not say for whom it is")
	}
	return nil
}

func checkAudience(restriction *etree.Element, us string) error {
	for _, el := range children(restriction, nsAssertion, "Audience") {
		name, err := text(el)
		if err != nil {
			return err
		}
		if name == us {
			return nil
		}
	}
	return errors.New("it is for another audience")
}

// subject finds out who it is about, and that whoever presents it may.
func (h *Heard) subject(a *etree.Element, want Expected) error {
	subject, err := only(a, nsAssertion, "Subject")
	if err != nil {
		return err
	}
	name, err := only(subject, nsAssertion, "NameID")
	if err != nil {
		return err
	}
	h.NameID, err = text(name)
	if err != nil {
		return err
	}
	if h.NameID == "" {
		return errors.New("it names nobody")
	}
	err = errors.New("it may be presented by nobody")
	for _, c := range children(subject, nsAssertion, "SubjectConfirmation") {
		if attr(c, "Method") != bearer {
			continue
		}
		err = h.confirm(c, want)
		if err == nil {
			return nil
		}
	}
	return err
}

func (h *Heard) confirm(c *etree.Element, want Expected) error {
	data, err := only(c, nsAssertion, "SubjectConfirmationData")
	if err != nil {
		return err
	}
	if to := attr(data, "Recipient"); !slices.Contains(want.Recipients, to) {
		return fmt.Errorf("it is to be presented at %.200q", to)
	}
	err = within(data, want.Now)
	if err != nil {
		return err
	}
	end, err := instant(data, "NotOnOrAfter")
	if err != nil {
		return err
	}
	if end.IsZero() {
		return errors.New("it may be presented for ever")
	}
	h.Presentable = end.Add(Skew)
	return want.Asked(attr(data, "InResponseTo"))
}

// session finds out until when the user is signed in.
func (h *Heard) session(a *etree.Element, want Expected) error {
	statements := children(a, nsAssertion, "AuthnStatement")
	if len(statements) == 0 {
		return errors.New("it does not say that the user has signed in")
	}
	for _, s := range statements {
		end, err := instant(s, "SessionNotOnOrAfter")
		if err != nil {
			return err
		}
		if end.IsZero() {
			continue
		}
		if !want.Now.Before(end) {
			return errors.New("the user is no longer signed in at the provider")
		}
		if h.Until.IsZero() || end.Before(h.Until) {
			h.Until = end
		}
	}
	return nil
}

// attributes collects what is said, by name, and by the friendly name where that
// is no attribute's own. Values that are no text are left out.
func (h *Heard) attributes(a *etree.Element) error {
	friendly := map[string][]string{}
	for _, statement := range children(a, nsAssertion, "AttributeStatement") {
		for _, el := range children(statement, nsAssertion, "Attribute") {
			name := attr(el, "Name")
			if name == "" {
				return errors.New("an attribute has no name")
			}
			var values []string
			for _, v := range children(el, nsAssertion, "AttributeValue") {
				if len(v.ChildElements()) > 0 {
					continue
				}
				value, err := text(v)
				if err != nil {
					return err
				}
				values = append(values, value)
			}
			h.Attributes[name] = append(h.Attributes[name], values...)
			if other := attr(el, "FriendlyName"); other != "" {
				friendly[other] = append(friendly[other], values...)
			}
		}
	}
	for name, values := range friendly {
		if h.Attributes[name] == nil {
			h.Attributes[name] = values
		}
	}
	return nil
}

// within checks NotBefore and NotOnOrAfter.
func within(el *etree.Element, now time.Time) error {
	from, err := instant(el, "NotBefore")
	if err != nil {
		return err
	}
	if from.After(now.Add(Skew)) {
		return errors.New("it is not good yet")
	}
	end, err := instant(el, "NotOnOrAfter")
	if err != nil {
		return err
	}
	if !end.IsZero() && !now.Add(-Skew).Before(end) {
		return errors.New("it is no longer good")
	}
	return nil
}

// instant reads a time, zero when there is none. SAML's times are in UTC.
func instant(el *etree.Element, name string) (time.Time, error) {
	value := attr(el, name)
	if value == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339Nano, value)
	if err != nil {
		return at, fmt.Errorf("%s is no time: %w", name, err)
	}
	return at, nil
}
