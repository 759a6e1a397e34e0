"""Headers by which proxies, clouds and providers tell who a client is, and those a call needs."""

import re

_IDENTITY = """
    authorization proxy-authorization cookie cookie2 host from origin referer via forwarded x-forwarded-for
    x-forwarded-host x-forwarded-proto x-forwarded-port x-forwarded-prefix x-forwarded-user x-forwarded-email
    x-forwarded-groups x-forwarded-preferred-username x-forwarded-access-token x-forwarded-client-cert
    x-forwarded-tls-client-cert x-real-ip x-client-ip x-cluster-client-ip x-remote-ip x-remote-user remote-user
    true-client-ip fastly-client-ip cf-connecting-ip cf-ray cf-access-jwt-assertion
    cf-access-authenticated-user-email cf-access-client-id cf-access-client-secret cf-access-token x-api-key api-key
    apikey x-apikey x-goog-api-key xi-api-key ocp-apim-subscription-key x-functions-key x-rapidapi-key
    x-auth-request-access-token x-auth-request-user x-auth-request-email x-auth-request-groups
    x-auth-request-preferred-username x-auth-token x-auth-key x-auth-email x-access-token x-id-token x-refresh-token
    x-session-id x-session-token x-csrf-token x-xsrf-token x-token token x-jwt-assertion x-jwt x-saml-assertion
    x-amzn-oidc-accesstoken x-amzn-oidc-identity x-amzn-oidc-data x-amzn-mtls-clientcert x-amzn-trace-id
    x-amz-security-token x-amz-date x-amz-cf-id x-amz-user-agent x-amzn-requestcontext x-ms-token-aad-access-token
    x-ms-token-aad-id-token x-ms-token-aad-refresh-token x-ms-client-principal x-ms-client-principal-id
    x-ms-client-principal-name x-ms-client-principal-idp x-zumo-auth x-arr-clientcert x-goog-iap-jwt-assertion
    x-goog-authenticated-user-email x-goog-authenticated-user-id x-goog-user-project x-serverless-authorization
    x-apigateway-api-userinfo-token x-endpoint-api-userinfo-token x-pomerium-jwt-assertion x-pomerium-authorization
    x-vault-token x-vault-namespace-token x-consul-token x-envoy-external-address x-envoy-peer-metadata
    x-istio-jwt-claims x-authentik-username-token x-authentik-jwt x-authentik-email x-authelia-user x-webauth-user
    x-webauth-email remote-email remote-groups-token x-user x-user-id x-user-email x-username x-userid x-login
    x-email x-tenant x-tenant-id x-org-id x-organization-id x-account-id x-workspace-id x-team-id
    x-credential-username x-consumer-username x-consumer-credential-identifier x-authenticated-userid
    x-authenticated-scope x-gitlab-token private-token job-token x-github-token x-hub-signature x-hub-signature-256
    x-slack-signature x-twilio-signature stripe-signature x-ssl-client-cert x-client-cert ssl-client-cert
    x-client-certificate x-tls-client-cert client-cert x-nginx-auth-token x-traefik-auth-user x-teleport-jwt
    x-tailscale-user-token tailscale-user-login tailscale-user-name tailscale-user-profile-pic-user x-okta-user
    x-auth0-token x-keycloak-token x-oauth-token x-databricks-token x-snowflake-authorization-token
    x-planetscale-token x-ibm-client-secret x-shopify-access-token openai-organization openai-project
    anthropic-organization-id x-openai-organization x-team x-project-id x-keycairn-token x-keycairn-anything
    sec-fetch-site sec-ch-ua sec-websocket-protocol x-original-url x-original-host x-rewrite-token
    x-http-method-override x-method-override x-original-forwarded-for proxy-connection keep-alive te trailer
    transfer-encoding upgrade connection expect content-length accept-encoding
"""
_MORE = """
    baggage tracestate b3 x-b3-traceid x-b3-spanid x-cloud-trace-context x-datadog-trace-id x-request-id
    x-correlation-id x-litellm-tags x-stainless-lang x-stainless-os x-rewrite-url x-custom-anything dnt priority
    accept-language x-forwarded if-none-match range cache-control pragma x-requested-with x-device-name
"""
IDENTITY = tuple(re.findall(r"[^\s]+", _IDENTITY))
MORE = tuple(re.findall(r"[^\s]+", _MORE))
"""Headers of no use to a provider, which no plugin of ours asks for."""
FUNCTIONAL = ("accept", "content-type", "idempotency-key", "traceparent", "user-agent")
"""Headers that go on with every call."""
