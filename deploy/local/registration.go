package local

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// User is an account to register. Password needs at least 8 characters.
type User struct {
	Name        string // the local part of the user ID, lower case
	Password    string
	DisplayName string
	Admin       bool
}

// RegisterUser makes an account on a homeserver that knows the shared secret (Dendrite, Synapse) and returns its user ID.
// If the account is there already, it checks that the password is right.
func RegisterUser(ctx context.Context, homeserver, sharedSecret string, user User) (userID string, err error) {
	registrar := registrar{address: strings.TrimSuffix(homeserver, "/")}
	userID, err = registrar.register(ctx, sharedSecret, user)
	var refused *matrixError
	if !errors.As(err, &refused) || refused.Code != "M_USER_IN_USE" {
		return userID, err
	}
	userID, err = registrar.checkPassword(ctx, user)
	if err != nil {
		return "", fmt.Errorf("user %s is registered already, but with another password than the one kept here: %w", user.Name, err)
	}
	return userID, nil
}

// registrar speaks the little of the API that has no access token yet.
type registrar struct{ address string }

// register follows https://element-hq.github.io/synapse/latest/admin_api/register_api.html, which Dendrite serves too.
func (r registrar) register(ctx context.Context, sharedSecret string, user User) (string, error) {
	const path = "/_synapse/admin/v1/register"
	var nonce struct {
		Nonce string `json:"nonce"`
	}
	if err := r.call(ctx, http.MethodGet, path, "", nil, &nonce); err != nil {
		return "", fmt.Errorf("asking to register %s: %w", user.Name, err)
	}
	kind := "notadmin"
	if user.Admin {
		kind = "admin"
	}
	mac := hmac.New(sha1.New, []byte(sharedSecret))
	_, _ = mac.Write([]byte(strings.Join([]string{nonce.Nonce, user.Name, user.Password, kind}, "\x00")))
	var made session
	err := r.call(ctx, http.MethodPost, path, "", map[string]any{
		"nonce": nonce.Nonce, "username": user.Name, "password": user.Password, "displayname": user.DisplayName,
		"admin": user.Admin, "mac": hex.EncodeToString(mac.Sum(nil)),
	}, &made)
	if err != nil {
		return "", fmt.Errorf("registering %s: %w", user.Name, err)
	}
	// The device that registration makes has no keys; others would wait for it in every encrypted room.
	r.logOut(ctx, made.AccessToken)
	return made.UserID, nil
}

func (r registrar) checkPassword(ctx context.Context, user User) (string, error) {
	in, err := r.login(ctx, user)
	if err != nil {
		return "", err
	}
	r.logOut(ctx, in.AccessToken)
	return in.UserID, nil
}

func (r registrar) logIn(ctx context.Context, user User) (token string, err error) {
	in, err := r.login(ctx, user)
	return in.AccessToken, err
}

type session struct {
	UserID      string `json:"user_id"`
	AccessToken string `json:"access_token"`
}

func (r registrar) login(ctx context.Context, user User) (session, error) {
	var in session
	err := r.call(ctx, http.MethodPost, "/_matrix/client/v3/login", "", map[string]any{
		"type": "m.login.password", "password": user.Password,
		"identifier":                  map[string]any{"type": "m.id.user", "user": user.Name},
		"initial_device_display_name": "mosaic-matrix local",
	}, &in)
	return in, err
}

func (r registrar) logOut(ctx context.Context, token string) {
	_ = r.call(ctx, http.MethodPost, "/_matrix/client/v3/logout", token, map[string]any{}, nil)
}

// matrixError is an error answer of the Matrix API.
type matrixError struct {
	Status  string
	Code    string `json:"errcode"`
	Message string `json:"error"`
}

func (e *matrixError) Error() string {
	return fmt.Sprintf("the homeserver answered %s: %s %s", e.Status, e.Code, e.Message)
}

func (r registrar) call(ctx context.Context, method, path, token string, body, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var content io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(raw)
	}
	request, err := http.NewRequestWithContext(ctx, method, r.address+path, content)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		refused := &matrixError{Status: response.Status}
		_ = json.NewDecoder(response.Body).Decode(refused)
		return refused
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(response.Body).Decode(into)
}
