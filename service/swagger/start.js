// Starts Swagger UI on the gateway's own description.

SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  // Else it would show the description to a validator on the internet.
  validatorUrl: null,
});
