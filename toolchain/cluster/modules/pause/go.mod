module ai-platform/pause

go 1.25.0
