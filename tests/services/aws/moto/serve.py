"""serve.py PORT: moto's server on 127.0.0.1:PORT.

moto gives every service the same refusal, in a form that no client of STS, Kinesis or DynamoDB understands. Here it has the
form that these have at AWS.
"""

import sys

from moto.core.exceptions import AccessDeniedError, JsonRESTError
from moto.iam.access_control import IAMRequest
from moto.server import main

XML = "<ErrorResponse><Error><Type>Sender</Type><Code>{}</Code><Message>{}</Message></Error></ErrorResponse>"


def refuse(request):
    user, action = request._access_key.arn, request._action
    if request._service in ("kinesis", "dynamodb"):
        why = f"because no identity-based policy allows the {action} action"
        raise JsonRESTError("AccessDeniedException", f"User: {user} is not authorized to perform: {action} {why}")
    refusal = AccessDeniedError(user_arn=user, action=action)
    refusal.description = XML.format(refusal.error_type, refusal.message)
    raise refusal


IAMRequest._raise_access_denied = refuse
main(["-H", "127.0.0.1", "-p", sys.argv[1]])
