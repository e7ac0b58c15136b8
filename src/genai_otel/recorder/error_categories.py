"""Map exceptions of every client to one of nine error categories.

The category is derived from the provider's error code, the HTTP status and the class names of the
exception. No client is imported and no code of the exception's class is run: properties are not
read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from genai_otel.record import CATEGORIES

if TYPE_CHECKING:
    from collections.abc import Iterator

APP, AUTH, THROTTLE, QUOTA, TIMEOUT, PROVIDER, FILTER, NETWORK, CANCELLED = CATEGORIES

_WORD, _ID = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{1,63}"), re.compile(r"[A-Za-z0-9_.:-]{4,128}")
_CAUSES_FOLLOWED = 4
_LONGEST_WORD = 80

# ----------------------------------------------------------------------------------- tables


def _table(rows: dict[str, str]) -> dict[str, str]:
    return {_plain(word): category for category, words in rows.items() for word in words.split()}


def _plain(word: str) -> str:
    """Normalize ``RESOURCE_EXHAUSTED``, ``ResourceExhausted``, ``resource-exhausted`` to one."""
    return word[:_LONGEST_WORD].replace("_", "").replace("-", "").lower()


# Error codes that are more specific than their HTTP status.
_TELLING = _table(
    {
        AUTH: "invalid_api_key account_deactivated authentication_error permission_error"
        " PERMISSION_DENIED UNAUTHENTICATED AccessDeniedException UnrecognizedClientException"
        " ExpiredTokenException InvalidSignatureException InvalidClientTokenId"
        " SignatureDoesNotMatch MissingAuthenticationToken IncompleteSignature OptInRequired",
        THROTTLE: "rate_limit_exceeded rate_limit_error slow_down RESOURCE_EXHAUSTED Throttling"
        " ThrottlingException ThrottledException TooManyRequestsException RequestLimitExceeded"
        " ProvisionedThroughputExceededException RequestThrottled",
        QUOTA: "insufficient_quota billing_hard_limit_reached billing_not_active billing_error"
        " quota_exceeded ServiceQuotaExceededException LimitExceededException",
        TIMEOUT: "timeout_error vector_store_timeout ModelTimeoutException RequestTimeout"
        " DEADLINE_EXCEEDED",
        PROVIDER: "overloaded_error server_error internal_error engine_overloaded"
        " ModelErrorException ModelStreamErrorException ModelNotReadyException"
        " InternalServerException ServiceUnavailableException DependencyFailedException"
        " BadGatewayException UNAVAILABLE INTERNAL DATA_LOSS",
        FILTER: "content_filter content_policy_violation ResponsibleAIPolicyViolation"
        " moderation_blocked invalid_prompt bio_policy cyber_policy_violation"
        " misalignment_policy_violation image_content_policy_violation",
        CANCELLED: "CANCELLED",
    }
)

# Error codes that occur with any HTTP status, which takes precedence.
_VAGUE = _table(
    {
        APP: "invalid_request_error not_found_error model_not_found context_length_exceeded"
        " request_too_large INVALID_ARGUMENT NOT_FOUND FAILED_PRECONDITION ALREADY_EXISTS"
        " OUT_OF_RANGE UNIMPLEMENTED ValidationException ResourceNotFoundException"
        " ConflictException",
        PROVIDER: "api_error upstream_error UNKNOWN ABORTED",
    }
)

_STATUSES = {
    **dict.fromkeys((401, 403, 407, 511), AUTH),
    402: QUOTA,
    **dict.fromkeys((408, 504, 524), TIMEOUT),
    **dict.fromkeys((429, 498), THROTTLE),  # 498: Groq has no capacity for the flex tier
    499: CANCELLED,
}
_LEAST_STATUS, _SERVERS_FAULT, _MOST_STATUS = 400, 500, 599

# Exception class name -> category; the first name in the exception's MRO that is here applies.
_CLASSES = {
    name: category
    for category, names in {
        AUTH: "AuthenticationError PermissionDeniedError ClientAuthenticationError"
        " GoogleAuthError CredentialsError NoCredentialsError PartialCredentialsError"
        " CredentialRetrievalError NoAuthTokenError TokenRetrievalError SSOError LoginError"
        " SubjectTokenProviderError OAuthError PermissionDenied Unauthenticated",
        THROTTLE: "RateLimitError ResourceExhausted TooManyRequests",
        QUOTA: "BudgetExceeded BudgetExceededError QuotaExceededError",
        TIMEOUT: "APITimeoutError TimeoutException Timeout TimeoutError ConnectTimeout ReadTimeout"
        " ReadTimeoutError ConnectTimeoutError ServerTimeoutError DeadlineExceeded"
        " GatewayTimeoutError ServiceRequestTimeoutError ServiceResponseTimeoutError",
        PROVIDER: "APIError APIResponseValidationError InternalServerError OverloadedError"
        " ServiceUnavailableError ServiceUnavailable ServerError ResponseValidationError"
        " UnknownApiResponseError MidStreamFallbackError",
        FILTER: "ContentFilterFinishReasonError ContentPolicyViolationError BlockedPromptException"
        " StopCandidateException",
        NETWORK: "APIConnectionError ConnectionError ConnectError TransportError NetworkError"
        " ProtocolError RemoteProtocolError ProxyError SSLError NewConnectionError MaxRetryError"
        " NameResolutionError HTTPClientError EndpointConnectionError ClientConnectionError"
        " ClientPayloadError ChunkedEncodingError IncompleteRead IncompleteReadError gaierror"
        " NoResponseError WebSocketConnectionClosedError ConnectionClosed ServiceRequestError"
        " ServiceResponseError AutoReconnect",
        CANCELLED: "CancelledError Cancelled KeyboardInterrupt SystemExit GeneratorExit"
        " ClientClosedRequestError",
        APP: "LengthFinishReasonError UnsupportedProtocol LocalProtocolError BadRequestError"
        " NotFoundError UnprocessableEntityError ParamValidationError",
    }.items()
    for name in names.split()
}

# ---------------------------------------------------------------------------------- reading


def category_of(error: BaseException) -> str:
    """Return the category of an exception or of its causes; ``app`` if none is found."""
    followed: BaseException | None = error
    for _ in range(_CAUSES_FOLLOWED):
        if followed is None:
            break
        found = _own_category(followed)
        if found is not None:
            return found
        followed = followed.__cause__
    return APP


def facts_of(error: BaseException) -> tuple[str | None, int | None, str | None]:
    """Return the provider's error code, the HTTP status and the provider's request id.

    Codes and ids must match a pattern: free text in their place may quote content.
    """
    code = next((word for word in _codes(error) if _WORD.fullmatch(word)), None)
    status = next(
        (n for n in _statuses(error) if type(n) is int and 100 <= n <= _MOST_STATUS),  # noqa: PLR2004
        None,
    )
    return code, status, next((i for i in _request_ids(error) if _ID.fullmatch(i)), None)


def category_of_word(word: str) -> str | None:
    """Return the category of an error code or status in a response, or ``None``."""
    if word.isascii() and word.isdecimal():
        return _of_status(int(word[:_LONGEST_WORD]))
    plain = _plain(word)
    return _TELLING.get(plain) or _VAGUE.get(plain)


def _own_category(error: BaseException) -> str | None:
    words = [_plain(word) for word in _words(error)]
    telling = next((_TELLING[word] for word in words if word in _TELLING), None)
    if telling is not None:
        return telling
    status = next((found for found in map(_of_status, _statuses(error)) if found), None)
    if status is not None:
        return status
    vague = next((_VAGUE[word] for word in words if word in _VAGUE), None)
    return vague or _of_class(type(error))


def _of_status(status: Any) -> str | None:
    if not isinstance(status, int) or not _LEAST_STATUS <= status <= _MOST_STATUS:
        return None
    return _STATUSES.get(status) or (PROVIDER if status >= _SERVERS_FAULT else APP)


def _of_class(cls: type) -> str | None:
    return next(
        (_CLASSES[base.__name__] for base in cls.__mro__ if base.__name__ in _CLASSES), None
    )


def _words(error: BaseException) -> Iterator[str]:
    """Yield the provider's error codes and types from where clients store them."""
    body, response = _field(error, "body"), _field(error, "response")
    places = (
        error,  # openai: code, type; google: status
        body,
        _field(body, "error"),  # anthropic, groq: {"error": {"type": ..., "code": ...}}
        _field(body, "innererror"),  # Azure
        _field(response, "Error"),  # botocore: {"Error": {"Code": ...}}
        _field(error, "_state"),  # gRPC
    )
    for place in places:
        for key in ("code", "type", "status", "Code"):
            word = _field(place, key)
            if not isinstance(word, str):
                word = _field(word, "_name_")  # an enum member
            if isinstance(word, str):
                yield word


def _codes(error: BaseException) -> Iterator[str]:
    """Yield the values of fields named ``code`` first, then those of ``_words``."""
    body, response = _field(error, "body"), _field(error, "response")
    told = (
        _field(error, "code"),
        _field(_field(response, "Error"), "Code"),
        _field(body, "code"),
        _field(_field(body, "error"), "code"),
    )
    yield from (word for word in told if isinstance(word, str))
    yield from _words(error)


def _request_ids(error: BaseException) -> Iterator[str]:
    response = _field(error, "response")
    told = (
        _field(error, "request_id"),  # openai, anthropic and similar clients
        _field(_field(response, "ResponseMetadata"), "RequestId"),  # botocore
        _field(_field(error, "body"), "request_id"),
    )
    yield from (value for value in told if isinstance(value, str))


def _statuses(error: BaseException) -> Iterator[Any]:
    response = _field(error, "response")
    for place in (error, response):
        for key in ("status_code", "http_status", "code", "status"):
            yield _field(place, key)
    yield _field(_field(response, "ResponseMetadata"), "HTTPStatusCode")


def _field(holder: Any, name: str) -> Any:
    """Return the dict entry, instance attribute or class constant ``name`` of ``holder``."""
    if type(holder) is dict:
        return holder.get(name)
    if holder is None or isinstance(holder, str | int | float | bytes):
        return None
    own = _own_fields(holder)
    if name in own:
        return own[name]
    for cls in type(holder).__mro__:
        if name in vars(cls):
            constant = vars(cls)[name]
            return constant if isinstance(constant, str | int) else None
    return None


def _own_fields(holder: Any) -> dict[str, Any]:
    try:
        own = object.__getattribute__(holder, "__dict__")
    except AttributeError:
        return {}
    return own if type(own) is dict else {}
