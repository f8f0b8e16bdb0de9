package postgres

import (
	"encoding/base64"
	"testing"
)

// TestVerifier uses the example of RFC 7677: user "user", password "pencil".
func TestVerifier(t *testing.T) {
	salt, err := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := newVerifier("pencil", salt, 4096)
	if err != nil {
		t.Fatal(err)
	}
	const want = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
	if verifier != want {
		t.Errorf("newVerifier(...): got %q, want %q", verifier, want)
	}

	cases := map[string]struct {
		reason   string
		verifier string
		password string
		want     bool
	}{
		"Same":     {"The password that a verifier was made of is not set again.", want, "pencil", true},
		"Other":    {"Another password is.", want, "pen", false},
		"MD5":      {"A password in the old form is set anew.", "md5a3556571e93b0d20722ba62be61e8c2d", "pencil", false},
		"Rubbish":  {"What cannot be read is replaced.", "SCRAM-SHA-256$4096:VERIFIER", "pencil", false},
		"NoSalt":   {"So is what lacks a part.", "SCRAM-SHA-256$4096", "pencil", false},
		"BadCount": {"And what has no number where there should be one.", "SCRAM-SHA-256$many:W22ZaJ0SNY7soEsUEjb6gQ==$a:b", "pencil", false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := verifies(tc.verifier, tc.password); got != tc.want {
				t.Errorf("\n%s\nverifies(...): got %t, want %t", tc.reason, got, tc.want)
			}
		})
	}
}
